/** PVH direct boot (Xen's public header arch-x86/hvm/start_info.h): ELF kernels with a 32-bit physical entry point. */
import { UserError } from '../user-error.ts';
import { type Elf, notes, parseElf, placeElf } from './elf.ts';
import type { PlacedModule } from './placement.ts';
import { placeCommandLine, placeModules, zeroed } from './placement.ts';
import { LOW_MEMORY, protectedMode } from './processor-state.ts';
import type { BootEnvironment, BootSource, RegisterSettings } from './source.ts';

const XEN_ELFNOTE_PHYS32_ENTRY = 18;
const XEN_HVM_START_MAGIC_VALUE = 0x336e_c578;
const START_INFO_BYTES = 56;
const MODULE_BYTES = 32;
const MEMORY_MAP_BYTES = 24;
/** The module list, then the memory map. */
const MEMORY_MAP_AT = LOW_MEMORY.lists + 0x800;
const MOST_COMMAND_LINE = LOW_MEMORY.commandLineEnd - LOW_MEMORY.commandLine - 1;

/** @throws UserError when the file is damaged, has no PVH entry, or does not fit. */
export function loadPvh(source: BootSource, environment: BootEnvironment): RegisterSettings {
  const { memory } = environment;
  const elf = parseElf(source.kernel);
  const entry = pvhEntry(elf);
  if (entry === undefined)
    throw new UserError(
      `${elf.name} is an ELF file with neither a PVH entry note nor a Multiboot header; for Linux build with CONFIG_PVH=y or give the bzImage`,
    );
  const end = placeElf(memory, elf);
  placeCommandLine(memory, LOW_MEMORY.commandLine, source.commandLine, MOST_COMMAND_LINE);
  const modules = placeModules(memory, source.initrds, end);
  writeStartInfo(environment, modules);
  return [...protectedMode(memory, entry), ['RBX', BigInt(LOW_MEMORY.information)]];
}

function pvhEntry(elf: Elf): number | undefined {
  for (const { name, type, description } of notes(elf)) {
    if (name !== 'Xen' || type !== XEN_ELFNOTE_PHYS32_ENTRY || description.length < 4) continue;
    return new DataView(description.buffer, description.byteOffset).getUint32(0, true);
  }
  return undefined;
}

function writeStartInfo({ memory, memoryMap, rsdp }: BootEnvironment, modules: readonly PlacedModule[]): void {
  const info = zeroed(memory, LOW_MEMORY.information, START_INFO_BYTES);
  info.setUint32(0, XEN_HVM_START_MAGIC_VALUE, true);
  info.setUint32(4, 1, true);
  info.setUint32(12, modules.length, true);
  info.setBigUint64(16, BigInt(modules.length > 0 ? LOW_MEMORY.lists : 0), true);
  info.setBigUint64(24, BigInt(LOW_MEMORY.commandLine), true);
  info.setBigUint64(32, BigInt(rsdp), true);
  info.setBigUint64(40, BigInt(MEMORY_MAP_AT), true);
  info.setUint32(48, memoryMap.length, true);
  const list = zeroed(memory, LOW_MEMORY.lists, modules.length * MODULE_BYTES);
  for (const [i, { module, at }] of modules.entries()) {
    list.setBigUint64(i * MODULE_BYTES, BigInt(at), true);
    list.setBigUint64(i * MODULE_BYTES + 8, BigInt(module.bytes.length), true);
  }
  const map = zeroed(memory, MEMORY_MAP_AT, memoryMap.length * MEMORY_MAP_BYTES);
  for (const [i, { base, size, kind }] of memoryMap.entries()) {
    map.setBigUint64(i * MEMORY_MAP_BYTES, BigInt(base), true);
    map.setBigUint64(i * MEMORY_MAP_BYTES + 8, BigInt(size), true);
    map.setUint32(i * MEMORY_MAP_BYTES + 16, kind, true);
  }
}
