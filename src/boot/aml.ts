/** An assembler for the little ACPI Machine Language a fixed board needs (ACPI 6.5 ch. 20) and for resource templates (§6.4). */

export type Aml = readonly number[];

const le = (value: number, bytes: number): Aml =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) & 0xff);

// --- terms ------------------------------------------------------------------------------------------------------------------------

/** PkgLength counts itself (§20.2.4). */
function packageLength(content: number): Aml {
  if (content + 1 < 0x40) return [content + 1];
  const bytes = content + 2 < 0x1000 ? 1 : content + 3 < 0x10_0000 ? 2 : 3;
  const total = content + 1 + bytes;
  return [(bytes << 6) | (total & 0x0f), ...le(Math.floor(total / 16), bytes)];
}

const sized = (opcode: Aml, content: Aml): Aml => [...opcode, ...packageLength(content.length), ...content];

const ascii = (text: string): Aml => [...text].map((character) => character.charCodeAt(0));

/** One name of at most four characters, or a path of two or more; `\` begins at the root. */
function namePath(path: string): Aml {
  const root = path.startsWith('\\') ? ascii('\\') : [];
  const segments = path
    .replace('\\', '')
    .split('.')
    .map((segment) => ascii(segment.padEnd(4, '_')));
  const prefix = segments.length === 1 ? [] : segments.length === 2 ? [0x2e] : [0x2f, segments.length];
  return [...root, ...prefix, ...segments.flat()];
}

export function integer(value: number): Aml {
  if (value === 0 || value === 1) return [value];
  if (value < 0x100) return [0x0a, value];
  if (value < 0x1_0000) return [0x0b, ...le(value, 2)];
  return [0x0c, ...le(value, 4)];
}

export const string = (text: string): Aml => [0x0d, ...ascii(text), 0];
export const list = (...elements: readonly Aml[]): Aml => sized([0x12], [elements.length, ...elements.flat()]);
export const name = (path: string, value: Aml): Aml => [0x08, ...namePath(path), ...value];
export const scope = (path: string, ...terms: readonly Aml[]): Aml =>
  sized([0x10], [...namePath(path), ...terms.flat()]);
export const device = (path: string, ...terms: readonly Aml[]): Aml =>
  sized([0x5b, 0x82], [...namePath(path), ...terms.flat()]);

/** A method without arguments (§19.6.85). */
export const method = (path: string, ...terms: readonly Aml[]): Aml =>
  sized([0x14], [...namePath(path), 0, ...terms.flat()]);
/** Tells the operating system that something happened to a device (§19.6.96). */
export const notify = (path: string, value: number): Aml => [0x86, ...namePath(path), ...integer(value)];

/** A Plug and Play identifier such as `PNP0501` in its compressed form (§19.3.4, EISAID). */
export function eisaId(id: string): Aml {
  const letters = ascii(id.slice(0, 3)).reduce((bits, code) => (bits << 5) | (code & 0x1f), 0);
  const number = Number.parseInt(id.slice(3), 16);
  return [0x0c, letters >> 8, letters & 0xff, number >> 8, number & 0xff];
}

// --- resources --------------------------------------------------------------------------------------------------------------------

/** A buffer of resource descriptors, closed by an end tag. */
export function resources(...descriptors: readonly Aml[]): Aml {
  const bytes = [...descriptors.flat(), 0x79, 0];
  return sized([0x11], [...integer(bytes.length), ...bytes]);
}

/** Fixed I/O ports, all 16 address bits decoded (§6.4.2.5). */
export const ioPorts = (base: number, size: number): Aml => [0x47, 1, ...le(base, 2), ...le(base, 2), 1, size];

/** An ISA interrupt, edge-triggered, active high (§6.4.2.1). */
export const irq = (number: number): Aml => [0x22, ...le(1 << number, 2)];

/** Fixed memory, writable (§6.4.3.4). */
export const memory32 = (base: number, size: number): Aml => [0x86, 9, 0, 1, ...le(base, 4), ...le(size, 4)];

const BUS_NUMBERS = 2;
const IO_RANGE = 1;
const MEMORY_RANGE = 0;
/** Minimum and maximum are fixed; the device produces the range for those behind it. */
const PRODUCED = 0x0c;
const ENTIRE_RANGE = 3;
const READ_WRITE = 1;

function wordWindow(kind: number, flags: number, base: number, size: number): Aml {
  return [0x88, 13, 0, kind, PRODUCED, flags, ...[0, base, base + size - 1, 0, size].flatMap((value) => le(value, 2))];
}

/** Bus numbers behind a bridge (§6.4.3.5.3). */
export const busNumbers = (first: number, count: number): Aml => wordWindow(BUS_NUMBERS, 0, first, count);
/** I/O ports behind a bridge. */
export const ioWindow = (base: number, size: number): Aml => wordWindow(IO_RANGE, ENTIRE_RANGE, base, size);
/** Memory behind a bridge (§6.4.3.5.2). */
export const memoryWindow = (base: number, size: number): Aml => [
  ...[0x87, 23, 0, MEMORY_RANGE, PRODUCED, READ_WRITE],
  ...[0, base, base + size - 1, 0, size].flatMap((value) => le(value, 4)),
];
