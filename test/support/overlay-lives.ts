/** Random lives of a persistent overlay, each ended by a loss of power; a model says what may then be on it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { setImmediate as immediate } from 'node:timers/promises';
import fc from 'fast-check';
import type { BlockBackend } from '../../src/devices/contract.ts';
import { PersistentOverlay } from '../../src/storage/changes/persistent-overlay.ts';
import { MemoryFile } from '../../src/storage/memory-file.ts';
import { RawDisk } from '../../src/storage/raw.ts';
import { RecordingFile } from './power-cut.ts';

const SECTOR = 512;
/** Four clusters, the last one short. */
const SECTORS = 3 * 128 + 40;

interface Step {
  readonly kind: 'write' | 'zero' | 'flush' | 'pin';
  readonly sector: number;
  readonly count: number;
  /** Whether the next step waits for a flush. */
  readonly wait: boolean;
}

interface Life {
  readonly steps: readonly Step[];
  /** The operation on the host's file in which power goes; beyond the last: after it. */
  readonly cutAt: number;
  /** Chooses what of the unflushed is there. */
  readonly seed: number;
}

const place = fc.oneof(
  fc.record({ sector: fc.nat(SECTORS - 6), count: fc.integer({ min: 1, max: 6 }) }),
  // Whole clusters and what lies across two.
  fc.constantFrom({ sector: 0, count: 128 }, { sector: 128, count: 128 }, { sector: 100, count: 130 }),
);
const step: fc.Arbitrary<Step> = fc
  .record({
    kind: fc.constantFrom('write', 'write', 'write', 'zero', 'flush', 'flush', 'pin'),
    place,
    wait: fc.boolean(),
  })
  .map(({ place, ...rest }) => ({ ...place, ...rest }));
const steps = fc.array(step, { minLength: 1, maxLength: 15 });
const cut = fc.record({ cutAt: fc.nat(40), seed: fc.nat() });

/** A workload. */
export const STEPS = fc.array(step, { minLength: 10, maxLength: 30 });

/** The same steps again, in some, leave pages of the log that look like those of the life before. */
export const LIVES: fc.Arbitrary<Life[]> = fc.oneof(
  fc.array(
    fc.tuple(steps, cut).map(([steps, cut]) => ({ steps, ...cut })),
    { minLength: 2, maxLength: 8 },
  ),
  fc
    .tuple(steps, fc.array(cut, { minLength: 2, maxLength: 8 }))
    .map(([steps, cuts]) => cuts.map((cut) => ({ steps, ...cut }))),
);

/** A small generator of numbers from 0 to below 1 that repeats. */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

class PowerCut extends Error {}

/** Power goes before operation `cutAt` on the file, a write or a flush. Returns how many there were so far. */
function cutBefore(file: RecordingFile, cutAt: number): () => number {
  let operations = 0;
  file.onMoment = async () => {
    await immediate();
    if (operations >= cutAt) throw new PowerCut('the power is gone');
    operations += 1;
  };
  return () => operations;
}

/** What sectors may hold: their last flushed value, or any written since. Each write has a value of its own; 0 is zeros. */
class Model {
  /** By sector, oldest first: from the last flushed value on. */
  readonly #values: { readonly value: number; readonly time: number }[][];
  #time = 0;

  constructor() {
    this.#values = Array.from({ length: SECTORS }, () => [{ value: 0, time: 0 }]);
  }

  write(sector: number, count: number, zero: boolean): number {
    const time = ++this.#time;
    const value = zero ? 0 : time;
    for (let at = sector; at < sector + count; at++) this.#values[at]!.push({ value, time });
    return value;
  }

  /** To be called when a flush begins; the result when it has succeeded. */
  flush(): () => void {
    const begun = this.#time;
    return () => {
      for (const values of this.#values) while (values.length > 1 && values[1]!.time <= begun) values.shift();
    };
  }

  /** What is there must be among what may be; from then on it is what is there. */
  observe(sector: number, value: number): void {
    const possible = this.#values[sector]!.map((one) => one.value);
    assert.ok(possible.includes(value), `sector ${sector} holds ${value}, not one of ${possible}`);
    this.#values[sector] = [{ value, time: 0 }];
  }
}

/** What was there when its content was given a name. */
type Pinned = Map<string, Uint8Array>;

const filled = (count: number, value: number): Uint8Array => {
  const bytes = new Uint8Array(count * SECTOR);
  new Uint32Array(bytes.buffer).fill(value);
  return bytes;
};

async function everything(disk: BlockBackend): Promise<Uint8Array> {
  const bytes = new Uint8Array(SECTORS * SECTOR);
  await disk.read(0, bytes);
  return bytes;
}

async function check(disk: BlockBackend, model: Model, pinned: Pinned): Promise<void> {
  const bytes = await everything(disk);
  if (disk.identity !== undefined) assert.deepEqual(bytes, pinned.get(disk.identity), 'it was written since');
  const words = new Uint32Array(bytes.buffer);
  const each = SECTOR / 4;
  for (let sector = 0; sector < SECTORS; sector++) {
    const value = words[sector * each]!;
    for (let at = 0; at < each; at++) assert.equal(words[sector * each + at], value, `sector ${sector} is torn`);
    model.observe(sector, value);
  }
}

const open = (file: RecordingFile): Promise<PersistentOverlay> =>
  PersistentOverlay.open(new RawDisk(new MemoryFile(), { size: SECTORS * SECTOR, readOnly: true }), file, {
    identity: 'the base',
    name: 'changes',
    sha256: async (bytes) => createHash('sha256').update(bytes).digest(),
    // Few, so that the log is written anew in short lives too.
    spareLogPages: 2,
  });

/** Lives one life after another on the same file; whatever was flushed must be there. Returns the operations of each. */
export async function live(lives: readonly Life[]): Promise<number[]> {
  const model = new Model();
  const pinned: Pinned = new Map();
  const operations: number[] = [];
  let content: Uint8Array = new Uint8Array();
  for (const { steps, cutAt, seed } of lives) {
    const file = await RecordingFile.of(content);
    const done = cutBefore(file, cutAt);
    await oneLife(file, steps, model, pinned).catch((error: unknown) => {
      if (!(error instanceof PowerCut)) throw error;
    });
    operations.push(done());
    content = file.afterCut(numbers(seed));
    // A look at what is there, without leaving a trace.
    await check(await open(await RecordingFile.of(content)), model, pinned);
  }
  return operations;
}

/** Lives with a loss of power in each write and flush, in turn. */
export async function liveAndDieEverywhere(steps: readonly Step[], seed: number): Promise<void> {
  const [operations] = await live([{ steps, cutAt: Number.POSITIVE_INFINITY, seed }]);
  for (let cutAt = 0; cutAt < operations!; cutAt++) await live([{ steps, cutAt, seed: seed + cutAt }]);
}

async function pin(disk: PersistentOverlay, pinned: Pinned): Promise<void> {
  const id = (pinned.size + 1).toString(16).padStart(32, '0');
  pinned.set(id, await everything(disk));
  await disk.pin(id);
  assert.ok(disk.identity !== undefined);
}

async function oneLife(file: RecordingFile, steps: readonly Step[], model: Model, pinned: Pinned): Promise<void> {
  const disk = await open(file);
  const flushes: Promise<void>[] = [];
  for (const { kind, sector, count, wait } of steps) {
    if (kind === 'flush') {
      const flushed = model.flush();
      const flush = disk.flush().then(flushed);
      flush.catch(() => {});
      flushes.push(flush);
      if (wait) await flush;
      continue;
    }
    if (kind === 'pin') {
      await Promise.all(flushes);
      const flushed = model.flush();
      await pin(disk, pinned);
      flushed();
      continue;
    }
    const value = model.write(sector, count, kind === 'zero');
    if (kind === 'zero') await disk.writeZeroes(sector * SECTOR, count * SECTOR);
    else await disk.write(sector * SECTOR, filled(count, value));
  }
  await Promise.all(flushes);
}

/** What the changes of a snapshot write. */
async function change(disk: BlockBackend, steps: readonly Step[]): Promise<void> {
  for (const [i, { kind, sector, count }] of steps.entries()) {
    if (kind === 'zero') await disk.writeZeroes!(sector * SECTOR, count * SECTOR);
    else await disk.write(sector * SECTOR, filled(count, i + 1));
  }
}

/** Puts changes into a new overlay, with a loss of power in each write and flush, in turn: never are some of them missing. */
export async function fillAndDieEverywhere(steps: readonly Step[], seed: number): Promise<void> {
  const plain = await open(await RecordingFile.of(new Uint8Array()));
  const empty = await everything(plain);
  await change(plain, steps);
  const whole = await everything(plain);
  for (let cutAt = 0, survived = false; !survived; cutAt++) {
    const file = await RecordingFile.of(new Uint8Array());
    cutBefore(file, cutAt);
    let reached: 'nothing' | 'begun' | 'filled' = 'nothing';
    try {
      const disk = await open(file);
      await disk.filling.begin();
      reached = 'begun';
      await change(disk, steps);
      await disk.filling.end();
      reached = 'filled';
      survived = true;
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
    }
    await checkFilled(file.afterCut(numbers(seed + cutAt)), reached, { empty, whole });
  }
}

async function checkFilled(
  content: Uint8Array,
  reached: 'nothing' | 'begun' | 'filled',
  { empty, whole }: { readonly empty: Uint8Array; readonly whole: Uint8Array },
): Promise<void> {
  let disk: PersistentOverlay;
  try {
    disk = await open(await RecordingFile.of(content));
  } catch (error) {
    assert.match(
      (error as Error).message,
      /^changes: putting a snapshot's changes into it did not end.*restore again$/,
    );
    assert.notEqual(reached, 'filled');
    return;
  }
  const bytes = await everything(disk);
  if (reached === 'nothing') {
    assert.deepEqual([bytes, disk.filling.state], [empty, 'empty']);
    return;
  }
  // The last write may have come through although nobody heard so.
  assert.deepEqual(bytes, whole);
}
