/** Makes the manifest of a disk image. */
import { open, rename, rm, writeFile } from 'node:fs/promises';
import { formatManifest, MANIFEST_SUFFIX, makeManifest } from '../../storage/http/manifest.ts';
import { UserError } from '../../user-error.ts';
import { fileProblem, outputProblem } from './file-problem.ts';
import { nodeHttp } from './http.ts';
import { NodeFile } from './node-file.ts';

export interface WrittenManifest {
  readonly path: string;
  readonly size: number;
  readonly blocks: number;
  readonly zeroBlocks: number;
}

/**
 * Hashes `image` and writes the manifest to `output`, or beside it.
 * `progress` is told the share that is done, from 0 to 1.
 * @throws UserError
 */
export async function writeManifest(
  image: string,
  output: string | undefined,
  progress: (share: number) => void,
): Promise<WrittenManifest> {
  const path = output ?? image + MANIFEST_SUFFIX;
  const handle = await open(image, 'r').catch((error: unknown) => {
    throw fileProblem(image, error);
  });
  const file = new NodeFile(handle);
  try {
    const status = await handle.stat();
    if (!status.isFile() || status.size === 0)
      throw new UserError(`${image}: ${status.isFile() ? 'is empty' : 'is no file'}: give a disk image`);
    const read = (offset: number, into: Uint8Array) => file.read(offset, into);
    const manifest = await makeManifest(status.size, read, nodeHttp.sha256, (done) => progress(done / status.size));
    await replace(path, formatManifest(manifest));
    const zeroBlocks = manifest.blocks.filter((block) => block === null).length;
    return { path, size: status.size, blocks: manifest.blocks.length, zeroBlocks };
  } finally {
    await file.close();
  }
}

/** Servers must never see half a manifest. */
async function replace(path: string, content: string): Promise<void> {
  const unfinished = `${path}.${process.pid}`;
  try {
    await writeFile(unfinished, content);
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw outputProblem(path, error);
  }
}
