/** The engine's own modules on disk: beside the sources in a checkout, a part of the package where that is installed. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { EngineCode } from '../../api/host.ts';

/** What the modules are made of. */
const SOURCES = ['isa', 'engine'];
const HASH_BYTES = 32;

const hash = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** What a file holds, unless it is not there or not whole. */
function readWhole(path: () => string): Uint8Array | undefined {
  try {
    const file = readFileSync(path());
    const content = file.subarray(HASH_BYTES);
    return hash(content).equals(file.subarray(0, HASH_BYTES)) ? content : undefined;
  } catch {
    return undefined;
  }
}

/** A file's content with what tells whether it is whole. */
export const keptForm = (content: Uint8Array): Uint8Array => Buffer.concat([hash(content), content]);

/** What changes when a source does. */
function stateOf(sources: string): string {
  const state = createHash('sha256');
  for (const folder of SOURCES) {
    const root = join(sources, folder);
    for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()) {
      const { size, mtimeMs } = statSync(join(root, name));
      state.update(`${name} ${size} ${mtimeMs}\n`);
    }
  }
  return state.digest('hex').slice(0, 16);
}

/** In a folder of its own, for the sources as they are: when one has changed, nothing is there. */
export function cachedCode(folder: string, sources: string): EngineCode {
  const path = (): string => join(folder, stateOf(sources));
  return {
    read: () => readWhole(path),
    write(content) {
      // Where nothing can be written the next start takes a little longer.
      try {
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(folder, { recursive: true });
        const unfinished = `${path()}.${process.pid}`;
        writeFileSync(unfinished, keptForm(content));
        renameSync(unfinished, path());
      } catch {}
    },
  };
}

/** `src/` in a checkout, `dist/` in the package. */
const CODE = fileURLToPath(new URL('../../', import.meta.url));

export const engineCode: EngineCode = import.meta.url.endsWith('.ts')
  ? cachedCode(join(CODE, '../.cache/engine'), CODE)
  : { read: () => readWhole(() => join(CODE, 'engine-code')), write: () => {} };
