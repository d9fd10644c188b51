/** The Linux that comes with the package, in `guest/images/`. */
import { readFile } from 'node:fs/promises';
import type { EmbeddedGuest } from '../../api/host.ts';
import { UserError } from '../../user-error.ts';

/** The same three levels up from `src/` in a checkout and from `dist/` in the package. */
const IMAGES = new URL('../../../guest/images/', import.meta.url);

export async function embeddedGuest(): Promise<EmbeddedGuest> {
  try {
    const [kernel, initrd] = await Promise.all([
      readFile(new URL('vmlinuz-x86_64', IMAGES)),
      readFile(new URL('initramfs-x86_64.cpio', IMAGES)),
    ]);
    return { kernel, initrd, append: 'quiet' };
  } catch (error) {
    throw new UserError(`the embedded guest is missing (${(error as Error).message}): install the package again`);
  }
}
