/** The options of `trapeze disk manifest`. */
import type { Command } from 'commander';

const MANIFEST_EXAMPLES = `
Examples:
  trapeze disk manifest root.img
      writes root.img.manifest.json, to be served beside the image; then
  trapeze run --disk https://example.org/root.img --append root=/dev/vda
      checks each block that it fetches and fetches no blocks of zeros`;

export function addDiskManifest(disk: Command): void {
  disk
    .command('manifest')
    .description('write the hashes of an image that is to be read over HTTP')
    .argument('<image>', 'a disk image')
    .option('--output <file>', 'where to write it (default: the image with .manifest.json behind its name)')
    .addHelpText('after', MANIFEST_EXAMPLES)
    .action(async (image: string, flags: { output?: string }) =>
      (await import('./disk-manifest.ts')).diskManifest(image, flags),
    );
}
