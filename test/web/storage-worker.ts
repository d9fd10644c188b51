/** What the tests of a page's files run in a worker. */
import { browserHttp } from '../../src/host/browser/http.ts';
import { openIndexedFile } from '../../src/host/browser/indexed-file.ts';
import { openOpfsFile } from '../../src/host/browser/opfs-file.ts';
import { PersistentOverlay } from '../../src/storage/changes/persistent-overlay.ts';
import type { SizedFile } from '../../src/storage/file.ts';
import { MemoryFile } from '../../src/storage/memory-file.ts';
import { RawDisk } from '../../src/storage/raw.ts';

const open = async (kind: string, name: string): Promise<SizedFile> => {
  const file = kind === 'opfs' ? await openOpfsFile(name) : await openIndexedFile(name);
  if (file === undefined) throw new Error('there is no private file system');
  return file;
};

const MODEL_BYTES = 400_000;

/** Random writes and reads against an array of bytes, over several openings. */
async function workload(kind: string): Promise<string> {
  const model = new Uint8Array(MODEL_BYTES);
  let [state, end] = [1, 0];
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  for (let opening = 0; opening < 3; opening++) {
    const file = await open(kind, 'workload');
    if ((await file.size()) !== end) return `it has ${await file.size()} bytes, not ${end}`;
    for (let round = 0; round < 40; round++) {
      const offset = below(MODEL_BYTES - 150_000);
      const bytes = new Uint8Array(below(2) === 0 ? below(2000) : below(150_000)).fill(below(255) + 1);
      await file.write(offset, bytes);
      model.set(bytes, offset);
      if (bytes.length > 0) end = Math.max(end, offset + bytes.length);
      if (below(8) === 0) await file.flush();
    }
    const all = new Uint8Array(MODEL_BYTES).fill(0xee);
    await file.read(0, all);
    const wrong = all.findIndex((byte, at) => byte !== model[at]);
    if (wrong >= 0) return `byte ${wrong} is ${all[wrong]}, not ${model[wrong]}`;
    await file.close();
  }
  return 'right';
}

/** Two at once. */
async function twice(kind: string): Promise<string> {
  const file = await open(kind, 'twice');
  try {
    await open(kind, 'twice');
    return 'opened twice';
  } catch (error) {
    return (error as Error).message;
  } finally {
    await file.close();
    await (await open(kind, 'twice')).close();
  }
}

/** The browser's ways to say that there is no more room. Its real limit is the host's disk. */
const REFUSALS: Readonly<Record<string, readonly (() => void)[]>> = {
  opfs: [
    () =>
      Object.assign(FileSystemSyncAccessHandle.prototype, {
        write() {
          throw new DOMException('no room', 'QuotaExceededError');
        },
      }),
    () => Object.assign(FileSystemSyncAccessHandle.prototype, { write: () => 100 }),
  ],
  indexed: [
    () => {
      const { put } = IDBObjectStore.prototype;
      Object.defineProperty(IDBTransaction.prototype, 'error', {
        get: () => new DOMException('no room', 'QuotaExceededError'),
      });
      IDBObjectStore.prototype.put = function (value: unknown, key?: IDBValidKey) {
        const request = put.call(this, value, key);
        request.addEventListener('success', () => this.transaction.abort());
        return request;
      };
    },
  ],
};

/** Writes when there is no room; what was there stays. */
async function full(kind: string): Promise<string> {
  const file = await open(kind, 'full');
  const block = new Uint8Array(100_000).fill(7);
  await file.write(0, block);
  const names: string[] = [];
  for (const refuse of REFUSALS[kind]!) {
    refuse();
    await file.write(block.length, block).catch((error: Error) => names.push(error.name));
  }
  const start = new Uint8Array(2);
  await file.read(block.length - 1, start);
  const size = await file.size();
  await file.close();
  return `${new Set(names).size} ${names[0]} ${start} ${size}`;
}

/** A disk's changes, kept. */
async function overlay(kind: string): Promise<string> {
  const size = 512 * 300;
  const opened = async (): Promise<PersistentOverlay> => {
    const base = new RawDisk(new MemoryFile(), { size, readOnly: true });
    const options = { identity: 'one', name: 'changes', sha256: browserHttp.sha256 };
    return PersistentOverlay.open(base, await open(kind, 'changes'), options);
  };
  const disk = await opened();
  await disk.write(512 * 120, new Uint8Array(512 * 20).fill(7));
  await disk.writeZeroes(512 * 125, 512);
  await disk.close();
  const again = await opened();
  const bytes = new Uint8Array(size);
  await again.read(0, bytes);
  await again.close();
  return [119, 120, 125, 139, 140].map((sector) => bytes[sector * 512]).join(' ');
}

const ACTIONS = { workload, twice, full, overlay } as const;

self.onmessage = ({ data }: MessageEvent<{ action: keyof typeof ACTIONS; kind: string }>) => {
  ACTIONS[data.action](data.kind).then(
    (result) => self.postMessage(result),
    (error: unknown) => self.postMessage(`failed: ${String(error)}`),
  );
};
