/** The Linux/x86 boot protocol (Documentation/arch/x86/boot.rst): bzImages, by their 64-bit or 32-bit entry. */
import { UserError } from '../user-error.ts';
import { place, placeCommandLine, placeModules, requireMemory, zeroed } from './placement.ts';
import { LOW_MEMORY, longMode, protectedMode } from './processor-state.ts';
import type { BootEnvironment, BootModule, BootSource, RegisterSettings } from './source.ts';

// Fields of the setup header, at the same offsets in the file and in boot_params.
const SETUP_SECTS = 0x1f1;
const SYSSIZE = 0x1f4;
const BOOT_FLAG = 0x1fe;
const JUMP_LENGTH = 0x201;
const HEADER = 0x202;
const VERSION = 0x206;
const TYPE_OF_LOADER = 0x210;
const LOADFLAGS = 0x211;
const CODE32_START = 0x214;
const RAMDISK_IMAGE = 0x218;
const RAMDISK_SIZE = 0x21c;
const CMD_LINE_PTR = 0x228;
const INITRD_ADDR_MAX = 0x22c;
const KERNEL_ALIGNMENT = 0x230;
const RELOCATABLE_KERNEL = 0x234;
const XLOADFLAGS = 0x236;
const CMDLINE_SIZE = 0x238;
const SETUP_DATA = 0x250;
const PREF_ADDRESS = 0x258;
const INIT_SIZE = 0x260;

// Fields of boot_params outside the setup header.
const ACPI_RSDP_ADDR = 0x070;
const E820_ENTRIES = 0x1e8;
const E820_TABLE = 0x2d0;
const E820_ENTRY_BYTES = 20;
const BOOT_PARAMS_BYTES = 0x1000;

const BOOT_FLAG_MAGIC = 0xaa55;
/** "HdrS" */
const HEADER_MAGIC = 0x5372_6448;
const SECTOR = 512;
const LOADED_HIGH = 0x01;
const XLF_KERNEL_64 = 0x01;
const ENTRY_64_OFFSET = 0x200;
/** "undefined": a loader without a number of its own. */
const LOADER_UNDEFINED = 0xff;
const HIGH_LOAD_ADDRESS = 0x10_0000;
const SETUP_RNG_SEED = 9;

const VERSION_2_04 = 0x204;
const VERSION_2_05 = 0x205;
const VERSION_2_06 = 0x206;
const VERSION_2_09 = 0x209;
const VERSION_2_10 = 0x20a;
const VERSION_2_12 = 0x20c;
const OLD_COMMAND_LINE_SIZE = 255;
const OLD_INITRD_ADDR_MAX = 0x37ff_ffff;

interface Image {
  readonly name: string;
  /** The file. */
  readonly bytes: Uint8Array;
  /** Bytes of boot sector and real-mode code before the protected-mode kernel. */
  readonly setupBytes: number;
  /** The setup header's end in the file. */
  readonly headerEnd: number;
  readonly version: number;
  readonly entry: '32-bit' | '64-bit';
  readonly loadAddress: number;
  /** The end of the RAM that the kernel uses before it has read the memory map. */
  readonly end: number;
  readonly commandLineSize: number;
  /** The last byte an initrd may occupy. */
  readonly initrdAddrMax: number;
}

/** Whether the file has Linux's setup header. */
export function isLinuxImage(bytes: Uint8Array): boolean {
  if (bytes.length < SECTOR + 16) return false;
  const header = viewOf(bytes);
  return header.getUint16(BOOT_FLAG, true) === BOOT_FLAG_MAGIC && header.getUint32(HEADER, true) === HEADER_MAGIC;
}

/** Loads a bzImage. @throws UserError when the file is damaged or does not fit the machine. */
export function loadLinux(source: BootSource, environment: BootEnvironment): RegisterSettings {
  const { memory } = environment;
  const image = parse(source.kernel);
  requireMemory(memory, image.name, image.end);
  const kernel = image.bytes.subarray(image.setupBytes);
  place(memory, image.loadAddress, kernel);
  placeCommandLine(memory, LOW_MEMORY.commandLine, source.commandLine, image.commandLineSize);
  const initrd = joined(source.initrds);
  const ramdisk = initrd && placeModules(memory, [initrd], image.end, image.initrdAddrMax + 1)[0];
  writeBootParams(image, environment, ramdisk && { at: ramdisk.at, size: ramdisk.module.bytes.length });
  const information = BigInt(LOW_MEMORY.information);
  if (image.entry === '64-bit') return [...longMode(memory, image.loadAddress + ENTRY_64_OFFSET), ['RSI', information]];
  return [...protectedMode(memory, image.loadAddress), ['RSI', information], ['RBP', 0n], ['RDI', 0n], ['RBX', 0n]];
}

function parse({ name, bytes }: BootModule): Image {
  const header = viewOf(bytes);
  const version = header.getUint16(VERSION, true);
  const setupBytes = ((bytes[SETUP_SECTS] || 4) + 1) * SECTOR;
  const headerEnd = HEADER + bytes[JUMP_LENGTH]!;
  if (headerEnd > bytes.length) throw damagedHeader(name);
  if (version < VERSION_2_04 || (bytes[LOADFLAGS]! & LOADED_HIGH) === 0)
    throw new UserError(`${name} is a zImage or older than boot protocol 2.04; build a bzImage (make bzImage)`);
  requireWhole(name, bytes, setupBytes, header.getUint32(SYSSIZE, true) * 16, headerEnd);
  const word = (offset: number, since: number, otherwise: number): number =>
    version >= since ? header.getUint32(offset, true) : otherwise;
  const kernelBytes = bytes.length - setupBytes;
  const load = loadAddress(name, header, version);
  return {
    name,
    bytes,
    setupBytes,
    headerEnd,
    version,
    entry: version >= VERSION_2_12 && (bytes[XLOADFLAGS]! & XLF_KERNEL_64) !== 0 ? '64-bit' : '32-bit',
    loadAddress: load,
    end: Math.max(load + kernelBytes, runAddress(header, version, load) + word(INIT_SIZE, VERSION_2_10, kernelBytes)),
    commandLineSize: Math.min(
      word(CMDLINE_SIZE, VERSION_2_06, OLD_COMMAND_LINE_SIZE),
      LOW_MEMORY.commandLineEnd - LOW_MEMORY.commandLine - 1,
    ),
    initrdAddrMax: word(INITRD_ADDR_MAX, VERSION_2_04, OLD_INITRD_ADDR_MAX),
  };
}

const damagedHeader = (name: string): UserError =>
  new UserError(`${name} has a damaged Linux setup header; fetch or build the kernel again`);

/** syssize counts paragraphs, rounded up; signatures may follow the kernel. */
function requireWhole(
  name: string,
  bytes: Uint8Array,
  setupBytes: number,
  kernelBytes: number,
  headerEnd: number,
): void {
  const needed = setupBytes + kernelBytes - 15;
  if (kernelBytes === 0 || headerEnd > setupBytes) throw damagedHeader(name);
  if (bytes.length < needed)
    throw new UserError(
      `${name} is truncated: its header tells of ${needed} bytes and the file has ${bytes.length}; fetch or build the kernel again`,
    );
}

/** Where the kernel unpacks itself to: one that is not relocatable goes where it was linked to, wherever it was loaded. */
function runAddress(header: DataView, version: number, load: number): number {
  return version < VERSION_2_10 ? load : Math.max(load, Number(header.getBigUint64(PREF_ADDRESS, true)));
}

/** Where the kernel prefers to be: it would move itself there, or, when not relocatable, must be there. */
function loadAddress(name: string, header: DataView, version: number): number {
  const relocatable = version >= VERSION_2_05 && header.getUint8(RELOCATABLE_KERNEL) !== 0;
  if (version < VERSION_2_10 || !relocatable) return header.getUint32(CODE32_START, true) || HIGH_LOAD_ADDRESS;
  const preferred = Number(header.getBigUint64(PREF_ADDRESS, true));
  const alignment = header.getUint32(KERNEL_ALIGNMENT, true) || 1;
  if (preferred < HIGH_LOAD_ADDRESS || preferred > 0xffff_ffff)
    throw new UserError(`${name} wants to be loaded at 0x${preferred.toString(16)}; fetch or build the kernel again`);
  return Math.ceil(preferred / alignment) * alignment;
}

/** Linux takes several archives one behind another, each at a multiple of four bytes (initramfs buffer format). */
function joined(initrds: readonly BootModule[]): BootModule | undefined {
  const [first, ...others] = initrds;
  if (first === undefined || others.length === 0) return first;
  const aligned = (length: number): number => Math.ceil(length / 4) * 4;
  const bytes = new Uint8Array(initrds.reduce((sum, { bytes }) => sum + aligned(bytes.length), 0));
  let at = 0;
  for (const initrd of initrds) {
    bytes.set(initrd.bytes, at);
    at += aligned(initrd.bytes.length);
  }
  return { name: initrds.map(({ name }) => name).join(' + '), bytes };
}

function writeBootParams(
  image: Image,
  { memory, memoryMap, rsdp, seed }: BootEnvironment,
  ramdisk: { at: number; size: number } | undefined,
): void {
  const params = zeroed(memory, LOW_MEMORY.information, BOOT_PARAMS_BYTES);
  const header = image.bytes.subarray(SETUP_SECTS, image.headerEnd);
  new Uint8Array(params.buffer, params.byteOffset, BOOT_PARAMS_BYTES).set(header, SETUP_SECTS);
  params.setUint8(TYPE_OF_LOADER, LOADER_UNDEFINED);
  params.setUint32(CODE32_START, image.loadAddress, true);
  params.setUint32(CMD_LINE_PTR, LOW_MEMORY.commandLine, true);
  params.setUint32(RAMDISK_IMAGE, ramdisk?.at ?? 0, true);
  params.setUint32(RAMDISK_SIZE, ramdisk?.size ?? 0, true);
  params.setBigUint64(ACPI_RSDP_ADDR, BigInt(rsdp), true);
  params.setUint8(E820_ENTRIES, memoryMap.length);
  for (const [i, { base, size, kind }] of memoryMap.entries()) {
    const at = E820_TABLE + i * E820_ENTRY_BYTES;
    params.setBigUint64(at, BigInt(base), true);
    params.setBigUint64(at + 8, BigInt(size), true);
    params.setUint32(at + 16, kind, true);
  }
  if (image.version < VERSION_2_09) return;
  params.setBigUint64(SETUP_DATA, BigInt(LOW_MEMORY.lists), true);
  const setupData = zeroed(memory, LOW_MEMORY.lists, 16 + seed.length);
  setupData.setUint32(8, SETUP_RNG_SEED, true);
  setupData.setUint32(12, seed.length, true);
  place(memory, LOW_MEMORY.lists + 16, seed);
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
