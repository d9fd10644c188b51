/** What snapshots say of themselves, without a machine. */
import { SnapshotReader } from '../snapshot/container.ts';
import { parseDescription, type SnapshotDescription } from '../snapshot/description.ts';
import { snapshotProblem } from '../snapshot/problem.ts';
import type { ByteSource } from '../snapshot/streams.ts';

/** Reads what a snapshot says of itself, and no further. @throws UserError */
export async function describeSnapshot(source: ByteSource): Promise<SnapshotDescription> {
  const reader = new SnapshotReader(source);
  try {
    return await readDescription(reader);
  } finally {
    await reader.cancel();
  }
}

/** A snapshot that was read to its end. */
export interface VerifiedSnapshot {
  readonly saved: SnapshotDescription;
  /** Of the file. */
  readonly bytes: number;
}

/** Reads all of a snapshot and checks that nothing in it is damaged. @throws UserError */
export async function verifySnapshot(source: ByteSource, told: (bytes: number) => void): Promise<VerifiedSnapshot> {
  const reader = new SnapshotReader(source);
  try {
    const saved = await readDescription(reader);
    while ((await reader.next()) !== undefined) told(reader.position);
    return { saved, bytes: reader.position };
  } finally {
    await reader.cancel();
  }
}

/** The first section. @throws UserError */
export async function readDescription(reader: SnapshotReader): Promise<SnapshotDescription> {
  const first = await reader.next();
  if (first?.kind !== 'META') throw snapshotProblem('it does not begin with its description');
  return parseDescription(first.content);
}
