/** Snapshots: a whole machine to a stream of bytes and back. */
import type { BootSource } from '../boot/source.ts';
import type { BlockBackend, GuestMemory } from '../devices/contract.ts';
import type { VcpuState } from '../engine/engine.ts';
import type { ClockTime } from '../machine/clock.ts';
import type { Machine as VirtualMachine } from '../machine/machine.ts';
import type { EmbeddedModules } from '../snapshot/boot-sections.ts';
import { bootSections } from '../snapshot/boot-sections.ts';
import type { Section } from '../snapshot/container.ts';
import { SnapshotReader, SnapshotWriter } from '../snapshot/container.ts';
import type { SavedDisk, SnapshotDescription } from '../snapshot/description.ts';
import { parseDescription, parseJson, toJson } from '../snapshot/description.ts';
import { changeSections, restoreChanges } from '../snapshot/disk-changes.ts';
import { diskIdentity } from '../snapshot/disk-identity.ts';
import { toHex } from '../snapshot/hex.ts';
import { BasePages, ramSections, restorePages, restoreZeroes } from '../snapshot/pages.ts';
import { snapshotProblem } from '../snapshot/problem.ts';
import { restoreState } from '../snapshot/state-reader.ts';
import { saveState } from '../snapshot/state-writer.ts';
import type { ByteSource, ByteTarget } from '../snapshot/streams.ts';
import type { Host } from './host.ts';

/** How far saving or opening has come. */
export interface SnapshotProgress {
  /** Bytes of the file written or read so far. */
  readonly bytes: number;
  /** Bytes of guest RAM looked at, of `memory`; pages that are zero are not in the file. */
  readonly memoryDone: number;
  readonly memory: number;
}

export type SnapshotListener = (progress: SnapshotProgress) => void;

/** What a machine boots, and which parts of that come with Trapeze. */
export interface LoadedBoot {
  readonly boot: BootSource;
  readonly embedded: EmbeddedModules;
}

export interface SaveOptions {
  readonly onProgress?: SnapshotListener | undefined;
  /** A complete snapshot of the same machine: what its memory has alike is not written again, and it is needed to restore. */
  readonly base?: ByteSource | undefined;
}

/** How a machine goes on. */
export interface Restoring {
  /** The snapshot that this one builds on. */
  readonly base: { readonly id: string; readonly source: ByteSource } | undefined;
  /** The guest's time goes to the host's. */
  readonly jumps: boolean;
  readonly listener: SnapshotListener;
}

/** What a snapshot is made of and put back into. */
export interface SnapshotParts {
  readonly virtual: VirtualMachine;
  readonly memory: GuestMemory;
  readonly disks: readonly BlockBackend[];
}

export interface SavedParts extends SnapshotParts {
  readonly host: Host;
  readonly clock: 'real' | 'virtual';
  readonly debugExit: number | undefined;
  /** File names of the disks, for messages; empty where there are none. */
  readonly diskNames: readonly string[];
  readonly loadBoot: () => Promise<LoadedBoot>;
  /** A snapshot whose pages of memory need not be written again. */
  readonly base: ByteSource | undefined;
}

/** Writes the machine, which stands still meanwhile. A file that could not be written whole is aborted. */
export async function saveSnapshot(parts: SavedParts, target: ByteTarget, listener: SnapshotListener): Promise<void> {
  const writer = new SnapshotWriter(target);
  try {
    await parts.virtual.whileResting(() => write(parts, writer, listener));
  } catch (error) {
    await writer.abort(error);
    throw error;
  }
}

async function write(parts: SavedParts, writer: SnapshotWriter, listener: SnapshotListener): Promise<void> {
  const { virtual, memory, disks } = parts;
  const pages = new BasePages();
  const base = parts.base && (await readBase(parts.base, (content) => pages.compare(memory, content), memory.size));
  await writer.begin();
  await writer.add('META', toJson(await describe(parts, base ?? null)));
  const { boot, embedded } = await parts.loadBoot();
  for (const content of bootSections(boot, embedded)) await writer.add('BOOT', content);
  await writer.add('CPU0', toJson(savedProcessor(virtual.vcpu.state())));
  await writer.add('TIME', toJson(saveState(timeState(virtual.time))));
  for (const { name, version, state } of virtual.sections())
    await writer.add('PART', toJson({ name, version, state: saveState(state) }));
  for (const [i, disk] of disks.entries())
    if (disk.overlay !== undefined)
      for await (const content of changeSections(i, disk.overlay)) await writer.add('DISK', content);
  const zeroes = pages.zeroSection();
  if (zeroes !== undefined) await writer.add('ZERO', zeroes);
  for (const { content, end } of ramSections(memory, pages)) {
    await writer.add('PAGE', content);
    listener({ bytes: writer.written, memoryDone: end, memory: memory.size });
  }
  await writer.end();
  listener({ bytes: writer.written, memoryDone: memory.size, memory: memory.size });
}

/** Gives `page` each section of memory of the snapshot that another one builds on; its identifier. */
async function readBase(source: ByteSource, page: (content: Uint8Array) => void, memory: number): Promise<string> {
  const reader = new SnapshotReader(source);
  try {
    const first = await reader.next();
    if (first?.kind !== 'META') throw snapshotProblem('its base does not begin with its description');
    const base = parseDescription(first.content);
    if (base.base !== null) throw snapshotProblem('its base builds on another one: give a base that is complete');
    if (base.memory !== memory) throw snapshotProblem('its base has another size of memory');
    for (let section = await reader.next(); section !== undefined; section = await reader.next())
      if (section.kind === 'PAGE') page(section.content);
    return base.id;
  } finally {
    await reader.cancel();
  }
}

async function describe(parts: SavedParts, base: string | null): Promise<SnapshotDescription> {
  const { virtual, memory, disks, host } = parts;
  const id = new Uint8Array(16);
  host.randomFill(id);
  const { instructions, guestNs } = virtual.statistics();
  return {
    id: toHex(id),
    base,
    board: 'pc',
    memory: memory.size,
    clock: parts.clock,
    debugExit: parts.debugExit ?? null,
    disks: await Promise.all(disks.map((disk, i) => savedDisk(disk, parts.diskNames[i] ?? ''))),
    savedAtMs: host.time.wallTimeMs(),
    instructions,
    guestNs,
  };
}

async function savedDisk(disk: BlockBackend, name: string): Promise<SavedDisk> {
  const { size, readOnly } = disk;
  return { name, size, readOnly, overlay: disk.overlay !== undefined, identity: await diskIdentity(disk) };
}

function savedProcessor({ registers, halted, retired }: VcpuState): unknown {
  const entries = [...registers].map(([name, value]) => [name, `0x${value.toString(16)}`]);
  return { version: 1, halted, retired, registers: Object.fromEntries(entries) };
}

/** @throws UserError when the disks are not those of the snapshot, in their order. */
export async function checkDisks(saved: readonly SavedDisk[], disks: readonly BlockBackend[]): Promise<void> {
  if (saved.length !== disks.length) {
    const names = saved.map(({ name, size, overlay, readOnly }) => {
      const mode = overlay ? ',cow' : readOnly ? ',ro' : '';
      return `${name || `a disk of ${size} bytes`}${mode}`;
    });
    const wanted = names.length === 0 ? 'it has none' : `give, in this order: ${names.join(', ')}`;
    const count = (n: number): string => `${n} disk${n === 1 ? '' : 's'}`;
    throw snapshotProblem(`it was taken with ${count(saved.length)}, not ${count(disks.length)}; ${wanted}`);
  }
  for (const [i, disk] of disks.entries()) await checkDisk(saved[i]!, disk, i);
}

async function checkDisk(saved: SavedDisk, disk: BlockBackend, i: number): Promise<void> {
  const what = `disk ${i + 1}${saved.name === '' ? '' : ` (${saved.name})`}`;
  const { size, overlay, readOnly, identity } = await savedDisk(disk, '');
  if (overlay !== saved.overlay || readOnly !== saved.readOnly) {
    const mode = saved.overlay ? 'copy-on-write (cow)' : saved.readOnly ? 'read-only (ro)' : 'writable in place (rw)';
    throw snapshotProblem(`${what} was ${mode}: give it so again`);
  }
  if (size !== saved.size)
    throw snapshotProblem(`${what} has ${size} bytes, and had ${saved.size}: give the same disk`);
  if (identity !== saved.identity)
    throw snapshotProblem(
      `${what} is another disk, or has changed since: give it as it was when the snapshot was taken`,
    );
}

/** @throws UserError when it is not the base that was asked for. */
export async function restoreBase({ id, source }: NonNullable<Restoring['base']>, memory: GuestMemory): Promise<void> {
  const found = await readBase(source, (content) => restorePages(memory, content), memory.size);
  if (found !== id) throw snapshotProblem(`it builds on the snapshot ${id}, and ${found} was given as base`);
}

/** Puts the sections behind `META` and `BOOT` into a machine that has not run. */
export class SnapshotRestorer {
  readonly #parts: SnapshotParts;
  readonly #jumps: boolean;
  /** Names of the parts that must follow, and what kinds came. */
  readonly #waiting: string[];
  #hasProcessor = false;
  #time: ClockTime | undefined;
  #timeIsSet = false;

  /** `jumps`: the guest's time goes to the host's when it goes on. */
  constructor(parts: SnapshotParts, jumps: boolean) {
    this.#parts = parts;
    this.#jumps = jumps;
    this.#waiting = parts.virtual.sections().map(({ name }) => name);
  }

  async add({ kind, content }: Section): Promise<void> {
    const { memory, disks } = this.#parts;
    switch (kind) {
      case 'CPU0':
        this.#restoreProcessor(parseJson(content));
        break;
      case 'TIME':
        this.#time = restoredTime(parseJson(content));
        break;
      case 'PART':
        this.#restorePart(parseJson(content));
        break;
      case 'DISK':
        await restoreChanges(disks, content);
        break;
      case 'PAGE':
        restorePages(memory, content);
        break;
      case 'ZERO':
        restoreZeroes(memory, content);
        break;
      case 'META':
      case 'BOOT':
      case 'LAST':
        throw snapshotProblem('its sections are in a wrong order');
      default:
        kind satisfies never;
    }
  }

  /** The file was whole: so must be the machine. */
  finish(): void {
    const missing = this.#hasProcessor ? (this.#time === undefined ? 'time' : this.#waiting[0]) : 'processor';
    if (missing !== undefined) throw snapshotProblem(`the state of ${missing} is missing`);
    this.#parts.virtual.restored();
  }

  #restoreProcessor(value: unknown): void {
    if (this.#hasProcessor) throw snapshotProblem('it has two processors');
    try {
      this.#parts.virtual.vcpu.restore(processorState(value));
    } catch (error) {
      if (error instanceof RangeError) throw snapshotProblem(`its processor is wrong: ${error.message}`);
      throw error;
    }
    this.#hasProcessor = true;
  }

  #restorePart(value: unknown): void {
    const { name, version, state } = (value ?? {}) as Record<string, unknown>;
    const section = this.#parts.virtual.sections().find((one) => one.name === name);
    if (section === undefined || this.#waiting.shift() !== name || !this.#hasProcessor || this.#time === undefined)
      throw snapshotProblem(`the part ${JSON.stringify(name)} is unknown here or in a wrong place`);
    if (version !== section.version)
      throw snapshotProblem(`${section.name} has version ${version}, this Trapeze reads ${section.version}`);
    // Time counts from what the machine and its processor have done.
    if (section.name !== 'machine') this.#setTime(this.#time);
    restoreState(section.name, state, section.state);
  }

  #setTime(time: ClockTime): void {
    if (!this.#timeIsSet) this.#parts.virtual.restoreTime(time, this.#jumps);
    this.#timeIsSet = true;
  }
}

/** Wall-clock times that a `Date` can hold. */
const MOST_WALL_MS = 8_640_000_000_000_000;
const MOST_NS = 2n ** 63n;

function timeState(time: { ns: bigint; wallMs: number }) {
  return {
    transferState(state: import('../devices/state.ts').StateTransfer): void {
      time.ns = state.big('ns', time.ns);
      time.wallMs = Math.round(state.integer('wallMs', Math.round(time.wallMs), -MOST_WALL_MS, MOST_WALL_MS));
      state.require(time.ns >= 0n && time.ns < MOST_NS, 'the time is none');
    },
  };
}

function restoredTime(value: unknown): ClockTime {
  const time = { ns: 0n, wallMs: 0 };
  restoreState('time', value, timeState(time));
  return time;
}

/** @throws RangeError when this is no state of a processor. */
function processorState(value: unknown): VcpuState {
  const { version, halted, retired, registers } = (value ?? {}) as Record<string, unknown>;
  if (version !== 1) throw new RangeError(`version ${version}, this Trapeze reads 1`);
  const count = typeof retired === 'number' && Number.isSafeInteger(retired) && retired >= 0;
  if (typeof halted !== 'boolean' || !count || typeof registers !== 'object' || registers === null)
    throw new RangeError('fields are missing');
  const entries = Object.entries(registers).map(([name, text]) => {
    if (typeof text !== 'string' || !/^0x[0-9a-f]{1,32}$/.test(text)) throw new RangeError(`${name} is no number`);
    return [name, BigInt(text)] as const;
  });
  return { halted, retired: retired as number, registers: new Map(entries) };
}

/** Gives a restorer all sections that are left. */
export async function restoreSections(
  reader: SnapshotReader,
  first: Section,
  restorer: SnapshotRestorer,
  looked: (section: Section) => void,
): Promise<void> {
  for (let section: Section | undefined = first; section !== undefined; section = await reader.next()) {
    await restorer.add(section);
    looked(section);
  }
  restorer.finish();
}
