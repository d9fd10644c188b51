/** ELF executables for x86, 32-bit and 64-bit: what a boot loader needs of them (System V gABI ch. 4–5). */
import type { GuestMemory } from '../devices/contract.ts';
import { UserError } from '../user-error.ts';
import { place, requireMemory } from './placement.ts';
import type { BootModule } from './source.ts';

export interface Segment {
  readonly type: number;
  readonly fileOffset: number;
  readonly physicalAddress: number;
  readonly fileSize: number;
  readonly memorySize: number;
}

export interface Elf {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly entry: number;
  readonly segments: readonly Segment[];
}

export interface Note {
  readonly name: string;
  readonly type: number;
  readonly description: Uint8Array;
}

const MAGIC = 0x464c_457f;
const CLASS_32 = 1;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const EM_386 = 3;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_NOTE = 4;

export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 52 && viewOf(bytes).getUint32(0, true) === MAGIC;
}

/** @throws UserError when the file is damaged or not for x86. */
export function parseElf({ name, bytes }: BootModule): Elf {
  const file = viewOf(bytes);
  const elfClass = file.getUint8(4);
  const machine = file.getUint16(18, true);
  if (![CLASS_32, CLASS_64].includes(elfClass) || file.getUint8(5) !== LITTLE_ENDIAN || bytes.length < 64)
    throw damaged(name);
  if (machine !== EM_386 && machine !== EM_X86_64)
    throw new UserError(`${name} is an ELF file for machine ${machine}, not for x86; give a kernel built for x86`);
  const wide = elfClass === CLASS_64;
  const address = (at: number): number => (wide ? Number(file.getBigUint64(at, true)) : file.getUint32(at, true));
  const tableOffset = address(wide ? 32 : 28);
  const entrySize = file.getUint16(wide ? 54 : 42, true);
  const count = file.getUint16(wide ? 56 : 44, true);
  if (count === 0 || entrySize < (wide ? 56 : 32) || tableOffset + count * entrySize > bytes.length)
    throw damaged(name);
  const segments = Array.from({ length: count }, (_, i) => segmentAt(file, tableOffset + i * entrySize, wide));
  for (const { fileOffset, fileSize, memorySize, type } of segments) {
    if (fileOffset + fileSize > bytes.length || (type === PT_LOAD && memorySize < fileSize)) throw damaged(name);
  }
  return { name, bytes, entry: address(24), segments };
}

function segmentAt(file: DataView, at: number, wide: boolean): Segment {
  const word = (offset: number): number => file.getUint32(at + offset, true);
  const long = (offset: number): number => Number(file.getBigUint64(at + offset, true));
  return wide
    ? { type: word(0), fileOffset: long(8), physicalAddress: long(24), fileSize: long(32), memorySize: long(40) }
    : { type: word(0), fileOffset: word(4), physicalAddress: word(12), fileSize: word(16), memorySize: word(20) };
}

/**
 * Copies the loadable segments to their physical addresses and clears the rest of their memory.
 * Returns the first byte behind them.
 */
export function placeElf(memory: GuestMemory, { name, bytes, segments }: Elf): number {
  let end = 0;
  for (const { type, physicalAddress, fileOffset, fileSize, memorySize } of segments) {
    if (type !== PT_LOAD || memorySize === 0) continue;
    requireMemory(memory, name, physicalAddress + memorySize);
    place(memory, physicalAddress, bytes.subarray(fileOffset, fileOffset + fileSize), memorySize);
    end = Math.max(end, physicalAddress + memorySize);
  }
  if (end === 0) throw damaged(name);
  return end;
}

export function* notes({ bytes, segments }: Elf): Generator<Note> {
  const aligned = (length: number): number => Math.ceil(length / 4) * 4;
  for (const { type, fileOffset, fileSize } of segments) {
    if (type !== PT_NOTE) continue;
    const file = viewOf(bytes.subarray(fileOffset, fileOffset + fileSize));
    for (let at = 0; at + 12 <= fileSize; ) {
      const nameSize = file.getUint32(at, true);
      const descriptionSize = file.getUint32(at + 4, true);
      const description = at + 12 + aligned(nameSize);
      if (description + descriptionSize > fileSize) break;
      const start = fileOffset + at + 12;
      yield {
        name: String.fromCharCode(...bytes.subarray(start, start + Math.min(nameSize, 64))).replace(/\0.*/s, ''),
        type: file.getUint32(at + 8, true),
        description: bytes.subarray(fileOffset + description, fileOffset + description + descriptionSize),
      };
      at = description + aligned(descriptionSize);
    }
  }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function damaged(name: string): UserError {
  return new UserError(`${name} is a damaged or truncated ELF file; fetch or build the kernel again`);
}
