/** Snapshots in memory, for tests. */
import { createHash } from 'node:crypto';

import type { RestoreOptions } from '../../src/api/restore.ts';
import { restoreMachine } from '../../src/api/restore.ts';
import { nodeHost } from '../../src/host/node/host.ts';
import type { Machine } from '../../src/host/node/index.ts';
import { SnapshotReader } from '../../src/snapshot/container.ts';

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

/** The sections of a snapshot, decoded, without what distinguishes it from another of the same machine. */
export async function contents(snapshot: Uint8Array): Promise<readonly string[]> {
  const reader = new SnapshotReader(streamOf(snapshot));
  const found: string[] = [];
  for (let section = await reader.next(); section !== undefined; section = await reader.next()) {
    const { kind, content } = section;
    const isText = kind === 'META' || kind === 'CPU0' || kind === 'TIME' || kind === 'PART';
    const text = isText ? Buffer.from(content).toString() : createHash('sha256').update(content).digest('hex');
    found.push(`${kind} ${kind === 'META' ? text.replace(/"id":"\w+"|"savedAtMs":[\d.]+/g, '') : text}`);
  }
  return found;
}

/** What a machine prints from now on. */
export function transcript(machine: Machine): () => string {
  let text = '';
  machine.onOutput((bytes) => (text += Buffer.from(bytes).toString('latin1')));
  return () => text;
}
