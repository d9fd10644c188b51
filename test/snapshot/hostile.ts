/** Snapshots with sound checks and a hostile state: each is refused in one line, or a machine that does its host no harm. */
import process from 'node:process';
import { restoreMachine } from '../../src/api/restore.ts';
import { nodeHost } from '../../src/host/node/host.ts';
import { Machine, UserError } from '../../src/host/node/index.ts';
import { type Section, SnapshotReader, SnapshotWriter } from '../../src/snapshot/container.ts';
import { parseJson, toJson } from '../../src/snapshot/description.ts';
import { MemoryFile } from '../../src/storage/memory-file.ts';
import { RawDisk } from '../../src/storage/raw.ts';
import type { RunOptions } from '../conformance/long-runs.ts';
import { Progress } from '../conformance/progress.ts';
import { Random } from '../conformance/random.ts';
import { PROMPT } from '../support/boot.ts';
import { collector, restored, SnapshotBytes, saved, streamOf } from '../support/snapshots.ts';

const SNAPSHOTS = 2000;
/** Seconds that a machine out of such a snapshot runs. */
const RUN_S = 0.1;
/** Processor time of one, from opening to end; most take a second. */
const MOST_MS = 30_000;
const MOST_CHANGES = 6;
const MOST_SHOWN = 20;

const emptyDisk = (): RawDisk => new RawDisk(new MemoryFile(), { size: 2 ** 20, readOnly: false });

/** A snapshot of Linux that uses its disk without end. */
export async function soundSections(): Promise<readonly Section[]> {
  const machine = await Machine.create({ memory: '64M', disks: [emptyDisk()] });
  const run = machine.run();
  await machine.waitForText(PROMPT);
  machine.write('echo "re"ady; while :; do dd if=/dev/zero of=/dev/vda bs=4k count=16 conv=fsync; done 2>/dev/null\n');
  await machine.waitForText('ready');
  const reader = new SnapshotReader(streamOf(await saved(machine), 2 ** 20));
  machine.stop();
  await run;
  const sections: Section[] = [];
  for (let section = await reader.next(); section !== undefined; section = await reader.next())
    sections.push({ kind: section.kind, content: section.content.slice() });
  return sections;
}

interface Fields {
  [name: string]: unknown;
}

interface Place {
  readonly fields: Fields;
  readonly name: string;
}

/** Where values stand, at any depth. */
function placesIn(value: unknown): Place[] {
  if (value === null || typeof value !== 'object') return [];
  const fields = value as Fields;
  return Object.keys(fields).flatMap((name) => [{ fields, name }, ...placesIn(fields[name])]);
}

const EDGES = [0n, 1n, 0x7fn, 0xffn, 0xfffn, 0xffffn, 0x7fff_ffffn, 0xffff_ffffn, 2n ** 52n, 2n ** 63n, 2n ** 64n - 1n];

/** A number of any size: an edge, near a page of RAM, or anything. */
function anyNumber(random: Random): bigint {
  if (random.chance(0.4)) return random.pick(EDGES) + BigInt(random.below(3)) - 1n;
  if (random.chance(0.4)) return BigInt(random.below(2 ** 28)) & ~0xfn;
  return random.u64() >> BigInt(random.below(64));
}

/** Another value, mostly of the same kind: others are soon refused. */
function hostile(value: unknown, random: Random): unknown {
  if (random.chance(0.03)) return random.pick([null, -1, 'x', [], {}, true]);
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'number') return Number(anyNumber(random));
  if (value === null) return Number(anyNumber(random));
  if (typeof value === 'string' && /^0x/.test(value)) return `0x${(anyNumber(random) & (2n ** 64n - 1n)).toString(16)}`;
  if (typeof value === 'string' && /^-?\d{1,20}$/.test(value)) return `${anyNumber(random)}`;
  if (typeof value === 'string' && /^[0-9a-f]+$/.test(value))
    return [...value].map((digit) => (random.chance(0.1) ? random.below(16).toString(16) : digit)).join('');
  if (Array.isArray(value)) return random.chance(0.5) ? [...value, ...value] : value.slice(1);
  return value;
}

const CHANGED: readonly Section['kind'][] = ['CPU0', 'TIME', 'PART'];

/** Changes some of the state; the file is whole and its checks are right. */
async function tampered(sections: readonly Section[], random: Random): Promise<Uint8Array> {
  const kinds = CHANGED.flatMap((kind) => (random.chance(0.6) ? [kind] : []));
  const states = new Map(
    sections.filter(({ kind }) => kinds.includes(kind)).map((section) => [section, parseJson(section.content)]),
  );
  const places = [...states.values()].flatMap(placesIn);
  for (let i = random.below(MOST_CHANGES); i >= 0 && places.length > 0; i--) {
    const { fields, name } = random.pick(places);
    fields[name] = hostile(fields[name], random);
  }
  const { target, bytes } = collector();
  const writer = new SnapshotWriter(target);
  await writer.begin();
  for (const section of sections) {
    const state = states.get(section);
    await writer.add(section.kind, state === undefined ? section.content : toJson(state));
  }
  await writer.end();
  return bytes();
}

/** Opens and runs it; false when it was refused. @throws Error for what must not happen */
export async function runTampered(sections: readonly Section[], random: Random): Promise<boolean> {
  const snapshot = await tampered(sections, random);
  const before = process.cpuUsage();
  const options = { disks: [emptyDisk()], timeout: RUN_S, onWarning: () => {} };
  let machine: Machine;
  try {
    machine = random.chance(0.5)
      ? await restored(snapshot, options)
      : await restoreMachine(nodeHost, new SnapshotBytes(snapshot), { ...options, load: 'demand' });
  } catch (error) {
    if (error instanceof UserError && !error.message.includes('\n')) return false;
    throw error;
  }
  await machine.run();
  const { user, system } = process.cpuUsage(before);
  if ((user + system) / 1000 > MOST_MS) throw new Error(`it took ${(user + system) / 1e6} s of the processor's time`);
  return true;
}

/** `npm run conformance -- hostile`. */
export async function runHostile({ count = SNAPSHOTS, seed }: RunOptions): Promise<boolean> {
  console.log(`hostile: ${count} snapshots with a changed state, seed ${seed}`);
  const sections = await soundSections();
  const progress = new Progress('hostile', count);
  const failures: string[] = [];
  let ran = 0;
  for (let i = 0; i < count; i++) {
    try {
      if (await runTampered(sections, new Random(seed + i))) ran += 1;
    } catch (error) {
      failures.push(`seed ${seed + i}: ${(error as Error).stack}`);
    }
    progress.at(i + 1, `, ${failures.length} failures`);
  }
  console.log(`hostile: ${ran} ran, ${count - ran - failures.length} were refused; ${failures.length} failures`);
  for (const failure of failures.slice(0, MOST_SHOWN)) console.log(`  ${failure}`);
  return failures.length === 0;
}
