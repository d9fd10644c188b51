/** Two snapshots that were opened together: one holds what differs from the other. */
import { describeSnapshot } from '../api/describe-snapshot.ts';
import { streamOf } from '../host/browser/snapshot-source.ts';
import type { SnapshotDescription } from '../snapshot/description.ts';
import { UserError } from '../user-error.ts';
import type { Image } from './images.ts';

export interface SnapshotPair {
  readonly snapshot: Image['content'] | undefined;
  /** What it was saved against. */
  readonly snapshotBase: Image['content'] | undefined;
}

/** @throws UserError when they are not one snapshot and its base */
export async function pairOf(snapshots: readonly Image[]): Promise<SnapshotPair> {
  const names = snapshots.map(({ name }) => name).join(', ');
  if (snapshots.length > 2) throw new UserError(`${names}: open one snapshot, or one and its base`);
  const [one, other] = [snapshots[0]!, snapshots[1]!];
  const [a, b] = [await describe(one), await describe(other)];
  if (a.base === b.id) return { snapshot: one.content, snapshotBase: other.content };
  if (b.base === a.id) return { snapshot: other.content, snapshotBase: one.content };
  throw new UserError(`${names}: neither is the base of the other: open one of them, or one and its base`);
}

async function describe({ name, content }: Image): Promise<SnapshotDescription> {
  try {
    return await describeSnapshot(await streamOf(content));
  } catch (error) {
    throw new UserError(`${name}: ${(error as Error).message}`);
  }
}
