/** Snapshots in memory, for tests. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { RestoreOptions } from '../../src/api/restore.ts';
import { restoreMachine } from '../../src/api/restore.ts';
import { nodeHost } from '../../src/host/node/host.ts';
import type { Machine } from '../../src/host/node/index.ts';
import { SnapshotReader } from '../../src/snapshot/container.ts';
import { eachPage } from '../../src/snapshot/pages.ts';
import type { RandomSource } from '../../src/snapshot/random-access.ts';
import { UserError } from '../../src/user-error.ts';

/** A stream that gives `bytes` in pieces of a size that no structure has. */
export function streamOf(bytes: Uint8Array, piece = 10_007): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) controller.close();
      else controller.enqueue(bytes.subarray(at, (at += piece)));
    },
  });
}

/** Gathers what is written to it. */
export function collector(): { target: WritableStream<Uint8Array>; bytes: () => Uint8Array } {
  const pieces: Uint8Array[] = [];
  const target = new WritableStream<Uint8Array>({
    write(piece) {
      pieces.push(piece.slice());
    },
  });
  return { target, bytes: () => new Uint8Array(Buffer.concat(pieces)) };
}

/** `base`: a snapshot that need not be repeated. */
export async function saved(machine: Machine, base?: Uint8Array): Promise<Uint8Array> {
  const { target, bytes } = collector();
  await machine.save(target, { base: base && streamOf(base) });
  return bytes();
}

export function restored(snapshot: Uint8Array, options?: RestoreOptions): Promise<Machine> {
  return restoreMachine(nodeHost, streamOf(snapshot), options);
}

/**
 * What is in a snapshot, without what distinguishes it from another of the same machine: sections, and one hash of all pages of memory,
 * which stand in an order that depends on the engine. `but`: a page of memory that is left out.
 */
export async function contents(snapshot: Uint8Array, but?: number): Promise<readonly string[]> {
  const reader = new SnapshotReader(streamOf(snapshot));
  const found: string[] = [];
  const pages = new Map<number, Uint8Array>();
  for (let section = await reader.next(); section !== undefined; section = await reader.next()) {
    const { kind, content } = section;
    if (kind === 'PAGE') {
      eachPage(content, (page, bytes) => pages.set(page, bytes));
      continue;
    }
    const isText = kind === 'META' || kind === 'CPU0' || kind === 'TIME' || kind === 'PART';
    const text = isText ? Buffer.from(content).toString() : createHash('sha256').update(content).digest('hex');
    found.push(`${kind} ${kind === 'META' ? text.replace(/"id":"\w+"|"savedAtMs":[\d.]+/g, '') : text}`);
  }
  if (but !== undefined) pages.delete(but);
  const hash = createHash('sha256');
  for (const [page, bytes] of [...pages].sort(([a], [b]) => a - b)) hash.update(`${page} `).update(bytes);
  return [...found, `pages ${hash.digest('hex')}`];
}

/** A snapshot in memory that can be read at any place, and how that goes. */
export class SnapshotBytes implements RandomSource {
  readonly name = 'test.snap';
  readonly bytes: Uint8Array;
  /** Bytes that were read. */
  taken = 0;
  /** Reads that nobody waits for do not end meanwhile. */
  #held: Promise<void> | undefined;
  #release = (): void => {};
  /** From now on nothing can be read. */
  broken = false;
  closed = false;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get size(): number {
    return this.bytes.length;
  }

  hold(): void {
    this.#held = new Promise((resolve) => (this.#release = resolve));
  }
  release(): void {
    this.#held = undefined;
    this.#release();
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    await this.#held;
    return this.readNow(offset, length);
  }

  readNow(offset: number, length: number): Uint8Array {
    if (this.broken) throw new UserError('test.snap: the server is gone');
    assert.ok(!this.closed && offset + length <= this.size);
    this.taken += length;
    return this.bytes.slice(offset, offset + length);
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

/** What a machine prints from now on. */
export function transcript(machine: Machine): () => string {
  let text = '';
  machine.onOutput((bytes) => (text += Buffer.from(bytes).toString('latin1')));
  return () => text;
}
