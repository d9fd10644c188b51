/** Putting files and tables into guest RAM before the processor starts. */
import type { GuestMemory } from '../devices/contract.ts';
import { UserError } from '../user-error.ts';
import type { BootModule, MemoryMapEntry } from './source.ts';
import { MEMORY_KIND } from './source.ts';

const MIB = 1024 ** 2;
const PAGE = 0x1000;
/** The lists that boot loaders write have room for these. */
const MOST_MODULES = 64;

export interface PlacedModule {
  readonly module: BootModule;
  readonly at: number;
}

/** "12 MiB", rounded up. */
export const mebibytes = (bytes: number): string => `${Math.ceil(bytes / MIB)} MiB`;

/** @throws UserError when the range is not wholly RAM. */
export function view(memory: GuestMemory, at: number, length: number): DataView {
  const bytes = memory.writable(at, length);
  if (bytes === undefined) throw tooSmall(memory, at + length);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A range of RAM, filled with zeros, for a table. */
export function zeroed(memory: GuestMemory, at: number, length: number): DataView {
  const table = view(memory, at, length);
  new Uint8Array(table.buffer, table.byteOffset, length).fill(0);
  return table;
}

/** Copies `bytes` to guest-physical `at` and fills with zeros up to `length` bytes. */
export function place(memory: GuestMemory, at: number, bytes: Uint8Array, length = bytes.length): void {
  const target = memory.writable(at, length);
  if (target === undefined) throw tooSmall(memory, at + length);
  target.set(bytes);
  target.fill(0, bytes.length);
}

/** @throws UserError unless RAM reaches up to `end`. */
export function requireMemory(memory: GuestMemory, kernel: string, end: number): void {
  if (end > memory.size)
    throw new UserError(
      `${kernel} needs ${mebibytes(end)} of memory to start and the machine has ${mebibytes(memory.size)}; give it more`,
    );
}

function tooSmall(memory: GuestMemory, end: number): UserError {
  return new UserError(
    `the boot files reach up to ${mebibytes(end)} and the machine has ${mebibytes(memory.size)} of memory; give it more`,
  );
}

/** Writes `text` as a C string. @throws UserError when it has more than `most` bytes or one that is no ASCII. */
export function placeCommandLine(memory: GuestMemory, at: number, text: string, most: number): void {
  const bytes = new Uint8Array(text.length + 1);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0 || code > 0x7e)
      throw new UserError(`the kernel command line has a character that is not ASCII at position ${i + 1}; remove it`);
    bytes[i] = code;
  }
  if (text.length > most)
    throw new UserError(
      `the kernel command line has ${text.length} characters and this kernel takes ${most}; shorten it`,
    );
  place(memory, at, bytes);
}

/**
 * Copies modules as high as possible in usable RAM below `limit`, each at the start of a page, never below `floor`, the end of the
 * kernel. The first is the lowest.
 * @throws UserError when they do not fit.
 */
export function placeModules(
  memory: GuestMemory,
  modules: readonly BootModule[],
  floor: number,
  limit = Number.POSITIVE_INFINITY,
): readonly PlacedModule[] {
  if (modules.length > MOST_MODULES)
    throw new UserError(`${modules.length} initrds are too many; give at most ${MOST_MODULES}`);
  let top = Math.min(limit, memory.size);
  const placed: PlacedModule[] = [];
  for (const module of [...modules].reverse()) {
    const at = Math.floor((top - module.bytes.length) / PAGE) * PAGE;
    if (at < floor) throw doesNotFit(memory, modules, floor, limit);
    place(memory, at, module.bytes);
    placed.unshift({ module, at });
    top = at;
  }
  return placed;
}

function doesNotFit(memory: GuestMemory, modules: readonly BootModule[], floor: number, limit: number): UserError {
  const size = modules.reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / PAGE) * PAGE, 0);
  const names = modules.map(({ name }) => name).join(', ');
  if (floor + size > limit)
    return new UserError(`${names}: ${mebibytes(size)} of initrd is more than the kernel takes; use a smaller one`);
  return new UserError(
    `${names}: ${mebibytes(size)} of initrd does not fit beside the kernel in ${mebibytes(memory.size)} of memory; give the machine at least ${mebibytes(floor + size)}`,
  );
}

/** The RAM that a boot protocol calls "lower" (from 0) and "upper" (from 1 MiB), in bytes. */
export function lowerAndUpper(map: readonly MemoryMapEntry[]): { lower: number; upper: number } {
  const usableFrom = (base: number): number =>
    map.find((e) => e.base === base && e.kind === MEMORY_KIND.usable)?.size ?? 0;
  return { lower: usableFrom(0), upper: usableFrom(MIB) };
}
