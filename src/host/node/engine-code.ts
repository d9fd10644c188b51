/**
 * Code on disk. The engine's own modules lie beside the sources in a checkout, and are a part of the package where that is installed; what
 * was translated of guests lies beside the sources, or with the user's other caches.
 */
import { createHash } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { EngineCode } from '../../api/host.ts';
import type { KeptBytes } from '../../engine/wasm/kept-regions.ts';

/** What the modules are made of. */
const SOURCES = ['isa', 'engine'];
const HASH_BYTES = 32;

const hash = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** Files of this module: the name of a state, and what is in the making. */
const OURS = /^[0-9a-f]{16}(\.regions)?(\.\d+)?$/;

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
  const state = createHash('sha256').update(readFileSync(join(sources, '../package.json')));
  for (const folder of SOURCES) {
    const root = join(sources, folder);
    for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()) {
      const { size, mtimeMs } = statSync(join(root, name));
      state.update(`${name} ${size} ${mtimeMs}\n`);
    }
  }
  return state.digest('hex').slice(0, 16);
}

function openKept(path: string): KeptBytes | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return undefined;
  }
  return {
    read(at, length) {
      const bytes = new Uint8Array(length);
      if (readSync(file, bytes, 0, length, at) < length) throw new Error(`${path} is cut off`);
      return bytes;
    },
    close: () => closeSync(file),
  };
}

/** Makes a folder and what it lies in. Node's own way of doing that does not come to an end below /proc, where none can be made. */
function makeFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  if (dirname(folder) !== folder) makeFolder(dirname(folder));
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

/** In a folder of its own, for the sources as they were when this was first asked: when one has changed since, nothing is there. */
export function cachedCode(folder: string, sources: string): EngineCode {
  let known: string | undefined;
  const state = (): string => (known ??= stateOf(sources));
  const regions = (): string => join(folder, `${state()}.regions`);
  /** A file appears when it is whole. Where nothing can be written the next start takes a little longer. */
  const write = (path: () => string, content: Uint8Array): void => {
    try {
      makeFolder(folder);
      for (const old of readdirSync(folder))
        if (OURS.test(old) && !old.startsWith(state())) rmSync(join(folder, old), { force: true });
      const unfinished = `${path()}.${process.pid}`;
      writeFileSync(unfinished, content);
      renameSync(unfinished, path());
    } catch {}
  };
  const own = (): string => join(folder, state());
  return {
    read: () => readWhole(own),
    write: (content) => write(own, keptForm(content)),
    regions: { open: () => openKept(regions()), write: (content) => write(regions, content) },
  };
}

/** `src/` in a checkout, `dist/` in the package. */
const CODE = fileURLToPath(new URL('../../', import.meta.url));
const inCheckout = import.meta.url.endsWith('.ts');
/** A folder for code of guests, or OFF. */
const CHOICE = process.env.TRAPEZE_CODE_CACHE;
const OFF = 'off';

const isOff = CHOICE?.toLowerCase() === OFF;

/** What is wrong with the folder that was asked for: nothing is kept then, and all else is as ever. */
export function codeFolderProblem(): string | undefined {
  if (!CHOICE || isOff) return undefined;
  try {
    makeFolder(CHOICE);
    accessSync(CHOICE, constants.W_OK);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason = code === 'EEXIST' || code === 'ENOTDIR' ? 'is no folder' : `cannot be written (${code})`;
    return `TRAPEZE_CODE_CACHE: ${CHOICE} ${reason}, so that nothing is kept there: name a folder of yours, or ${OFF}`;
  }
}

function regions(): EngineCode['regions'] {
  if (isOff) return undefined;
  const usual = inCheckout
    ? join(CODE, '../.cache/engine')
    : join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'trapeze');
  return cachedCode(CHOICE || usual, CODE).regions;
}

export const engineCode: EngineCode = {
  ...(inCheckout
    ? cachedCode(join(CODE, '../.cache/engine'), CODE)
    : { read: () => readWhole(() => join(CODE, 'engine-code')), write: () => {} }),
  regions: regions(),
};
