/** What a snapshot says of itself in its first section. */
import * as z from 'zod/mini';
import { snapshotProblem } from './problem.ts';

const bytes = z.int().check(z.minimum(0), z.maximum(2 ** 53 - 1));
const name = z.string().check(z.maxLength(4096));

const id = z.string().check(z.regex(/^[0-9a-f]{32}$/));

const disk = z.strictObject({
  /** The file's name, for messages. */
  name,
  size: bytes,
  readOnly: z.boolean(),
  /** Its changes are in the snapshot. */
  overlay: z.boolean(),
  identity: name,
});

const schema = z.strictObject({
  /** Tells this snapshot from all others. */
  id,
  /** The snapshot that has the pages of memory that are not in this one; null: none is missing. */
  base: z.nullable(id),
  board: z.literal('pc'),
  /** Bytes of RAM. */
  memory: z.int().check(z.minimum(2 ** 20), z.maximum(3 * 2 ** 30), z.multipleOf(4096)),
  clock: z.enum(['real', 'virtual']),
  debugExit: z.nullable(z.int().check(z.minimum(0), z.maximum(0xffff))),
  disks: z.array(disk).check(z.maxLength(16)),
  /** When it was taken: milliseconds since 1970-01-01 UTC on the host. */
  savedAtMs: z.number(),
  /** Instructions that the guest had executed since power-on. */
  instructions: bytes,
  /** Nanoseconds of guest time since power-on. */
  guestNs: z.number().check(z.minimum(0)),
});

/** What a snapshot says of itself, readable without opening it. */
export type SnapshotDescription = z.output<typeof schema>;
export type SavedDisk = SnapshotDescription['disks'][number];

/** @throws UserError when this is no JSON or no such description. */
export function parseDescription(content: Uint8Array): SnapshotDescription {
  const parsed = schema.safeParse(parseJson(content));
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw snapshotProblem(`its description is wrong (${path.join('.')}: ${message})`);
}

/** @throws UserError when it is none. */
export function parseJson(content: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(content));
  } catch {
    throw snapshotProblem('a section is not JSON');
  }
}

export function toJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
