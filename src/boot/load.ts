/** Finds out what a kernel file is and loads it. */
import { UserError } from '../user-error.ts';
import { isElf } from './elf.ts';
import { isLinuxImage, loadLinux } from './linux-x86.ts';
import { findMultibootHeader, loadMultiboot } from './multiboot.ts';
import { loadPvh } from './pvh.ts';
import type { BootEnvironment, BootSource, RegisterSettings } from './source.ts';

/**
 * Puts a boot source into RAM and tells how the processor starts.
 * @throws UserError when a file is damaged, of no known kind, or does not fit.
 */
export function loadBootSource(source: BootSource, environment: BootEnvironment): RegisterSettings {
  const { name, bytes } = source.kernel;
  if (isLinuxImage(bytes)) return loadLinux(source, environment);
  const multiboot = findMultibootHeader(bytes);
  if (multiboot !== undefined) return loadMultiboot(source, multiboot, environment);
  if (isElf(bytes)) return loadPvh(source, environment);
  throw new UserError(
    `${name} is not a kernel: it is no Linux bzImage, ELF file or Multiboot image; give one of these`,
  );
}
