/** Multiboot 1 (Multiboot Specification 0.6.96): ELF kernels, and flat ones whose header carries addresses (the "a.out kludge"). */
import { UserError } from '../user-error.ts';
import { isElf, parseElf, placeElf } from './elf.ts';
import type { PlacedModule } from './placement.ts';
import { lowerAndUpper, place, placeCommandLine, placeModules, requireMemory, zeroed } from './placement.ts';
import { LOW_MEMORY, protectedMode } from './processor-state.ts';
import type { BootEnvironment, BootModule, BootSource, RegisterSettings } from './source.ts';

const HEADER_MAGIC = 0x1bad_b002;
const BOOTLOADER_MAGIC = 0x2bad_b002n;
/** The header stands wholly in the first 8 KiB, at a multiple of four. */
const SEARCH_BYTES = 8192;

// Header flags. Modules are page-aligned and memory is described always; text mode is what there is.
const VIDEO_MODE = 1 << 2;
const UNDERSTOOD = 0x3 | VIDEO_MODE;
const REQUIREMENTS = 0xffff;
const ADDRESS_FIELDS = 1 << 16;

// Flags of the information structure.
const INFO_MEMORY = 1 << 0;
const INFO_COMMAND_LINE = 1 << 2;
const INFO_MODULES = 1 << 3;
const INFO_MEMORY_MAP = 1 << 6;
const INFO_LOADER_NAME = 1 << 9;

const INFO_BYTES = 120;
const MODULE_BYTES = 16;
const MEMORY_MAP_BYTES = 24;
const MEMORY_MAP_AT = LOW_MEMORY.lists + 0x800;
const LOADER_NAME_AT = LOW_MEMORY.lists + 0xff0;
const LOADER_NAME = 'trapeze';
const STRING_END = LOW_MEMORY.commandLineEnd;

export interface MultibootHeader {
  /** Where in the file it begins. */
  readonly at: number;
  readonly flags: number;
}

/** The header, if the file has one. */
export function findMultibootHeader(bytes: Uint8Array): MultibootHeader | undefined {
  const file = viewOf(bytes);
  const end = Math.min(bytes.length, SEARCH_BYTES) - 12;
  for (let at = 0; at <= end; at += 4) {
    if (file.getUint32(at, true) !== HEADER_MAGIC) continue;
    const flags = file.getUint32(at + 4, true);
    if ((HEADER_MAGIC + flags + file.getUint32(at + 8, true)) % 2 ** 32 === 0) return { at, flags };
  }
  return undefined;
}

/** @throws UserError when the file is damaged, needs what Trapeze does not offer, or does not fit. */
export function loadMultiboot(
  source: BootSource,
  header: MultibootHeader,
  environment: BootEnvironment,
): RegisterSettings {
  const { memory } = environment;
  const { name } = source.kernel;
  const unknown = header.flags & REQUIREMENTS & ~UNDERSTOOD;
  if (unknown !== 0)
    throw new UserError(
      `${name} requires Multiboot features 0x${unknown.toString(16)} that do not exist; build the kernel without them`,
    );
  const { entry, end } =
    (header.flags & ADDRESS_FIELDS) === 0
      ? placeElfKernel(source.kernel, environment)
      : placeFlat(source.kernel, header, environment);
  // By convention the first word of a command line is the file's name.
  const strings = [`${name} ${source.commandLine}`, ...source.initrds.map((initrd) => initrd.name)];
  const addresses = placeStrings(environment, strings);
  const modules = placeModules(memory, source.initrds, end);
  writeInformation(environment, modules, addresses);
  return [...protectedMode(memory, entry), ['RAX', BOOTLOADER_MAGIC], ['RBX', BigInt(LOW_MEMORY.information)]];
}

interface PlacedKernel {
  readonly entry: number;
  /** The first byte behind the kernel. */
  readonly end: number;
}

function placeElfKernel(kernel: BootModule, { memory }: BootEnvironment): PlacedKernel {
  if (!isElf(kernel.bytes))
    throw new UserError(
      `${kernel.name} has a Multiboot header without addresses and is no ELF file; give the ELF kernel`,
    );
  const elf = parseElf(kernel);
  return { entry: elf.entry, end: placeElf(memory, elf) };
}

/** Header fields 12–31: header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr (§3.1.3). */
function placeFlat({ name, bytes }: BootModule, { at }: MultibootHeader, { memory }: BootEnvironment): PlacedKernel {
  if (bytes.length < at + 32) throw damagedFlat(name);
  const file = viewOf(bytes);
  const field = (i: number): number => file.getUint32(at + 12 + i * 4, true);
  const [headerAddress, loadAddress, loadEnd, bssEnd, entry] = [field(0), field(1), field(2), field(3), field(4)];
  const start = at - (headerAddress - loadAddress);
  const size = loadEnd === 0 ? bytes.length - start : loadEnd - loadAddress;
  if (start < 0 || size <= 0 || start + size > bytes.length) throw damagedFlat(name);
  const end = Math.max(loadAddress + size, bssEnd);
  requireMemory(memory, name, end);
  place(memory, loadAddress, bytes.subarray(start, start + size), end - loadAddress);
  return { entry, end };
}

const damagedFlat = (name: string): UserError =>
  new UserError(`${name}: the addresses in its Multiboot header do not fit the file; fetch or build the kernel again`);

/** C strings one behind another; their addresses. */
function placeStrings({ memory }: BootEnvironment, strings: readonly string[]): readonly number[] {
  let at: number = LOW_MEMORY.commandLine;
  return strings.map((text) => {
    const address = at;
    placeCommandLine(memory, address, text, STRING_END - address - 1);
    at += text.length + 1;
    return address;
  });
}

function writeInformation(
  { memory, memoryMap }: BootEnvironment,
  modules: readonly PlacedModule[],
  strings: readonly number[],
): void {
  const info = zeroed(memory, LOW_MEMORY.information, INFO_BYTES);
  const set = (offset: number, value: number): void => info.setUint32(offset, value, true);
  const { lower, upper } = lowerAndUpper(memoryMap);
  set(0, INFO_MEMORY | INFO_COMMAND_LINE | INFO_MODULES | INFO_MEMORY_MAP | INFO_LOADER_NAME);
  set(4, Math.floor(lower / 1024));
  set(8, Math.floor(upper / 1024));
  set(16, strings[0]!);
  set(20, modules.length);
  set(24, LOW_MEMORY.lists);
  set(44, memoryMap.length * MEMORY_MAP_BYTES);
  set(48, MEMORY_MAP_AT);
  set(64, LOADER_NAME_AT);
  placeCommandLine(memory, LOADER_NAME_AT, LOADER_NAME, LOADER_NAME.length);
  const list = zeroed(memory, LOW_MEMORY.lists, modules.length * MODULE_BYTES);
  for (const [i, { module, at }] of modules.entries()) {
    list.setUint32(i * MODULE_BYTES, at, true);
    list.setUint32(i * MODULE_BYTES + 4, at + module.bytes.length, true);
    list.setUint32(i * MODULE_BYTES + 8, strings[i + 1]!, true);
  }
  const map = zeroed(memory, MEMORY_MAP_AT, memoryMap.length * MEMORY_MAP_BYTES);
  for (const [i, { base, size, kind }] of memoryMap.entries()) {
    const entry = i * MEMORY_MAP_BYTES;
    // `size` does not count itself.
    map.setUint32(entry, MEMORY_MAP_BYTES - 4, true);
    map.setBigUint64(entry + 4, BigInt(base), true);
    map.setBigUint64(entry + 12, BigInt(size), true);
    map.setUint32(entry + 20, kind, true);
  }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
