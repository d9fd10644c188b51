/** `trapeze disk manifest`. */
import { formatSize } from '../api/size.ts';
import { writeManifest } from '../host/node/disk-manifest.ts';
import { showProgress } from './progress.ts';

export async function diskManifest(image: string, { output }: { readonly output?: string }): Promise<void> {
  let share = 0;
  const clear = showProgress(() => `hashing ${image} (${Math.floor(share * 100)} %)`);
  try {
    const { path, size, blocks, zeroBlocks } = await writeManifest(image, output, (done) => (share = done));
    clear();
    console.log(`${path}: ${formatSize(size)}, ${blocks} blocks, ${zeroBlocks} of them zeros`);
  } finally {
    clear();
  }
}
