/** What a snapshot says, put into a machine. */
import type { BlockBackend, GuestMemory, OverlayFilling } from '../devices/contract.ts';
import type { VcpuState } from '../engine/engine.ts';
import type { ClockTime } from '../machine/clock.ts';
import type { ArrivalFile, ArrivalParts } from '../snapshot/arrival.ts';
import type { SavedBootSource } from '../snapshot/boot-sections.ts';
import type { Section } from '../snapshot/container.ts';
import type { SavedDisk } from '../snapshot/description.ts';
import { parseJson } from '../snapshot/description.ts';
import { restoreChanges } from '../snapshot/disk-changes.ts';
import { baseIdentity, type DiskMode, modeOf } from '../snapshot/disk-identity.ts';
import { restorePages, restoreZeroes, zeroPages } from '../snapshot/pages.ts';
import { snapshotProblem } from '../snapshot/problem.ts';
import { restoreState } from '../snapshot/state-reader.ts';
import type { ByteSource } from '../snapshot/streams.ts';
import type { SnapshotListener, SnapshotParts } from './snapshot.ts';
import { readBase, savedDisk, timeState } from './snapshot.ts';

/** How a machine goes on. */
export interface Restoring {
  /** The guest's time goes to the host's. */
  readonly jumps: boolean;
  readonly listener: SnapshotListener;
  /** What it booted from. */
  readonly boot: SavedBootSource;
  /** The memory of the snapshot that this one builds on, where all of it is there before the guest runs. */
  readonly base: { readonly id: string; readonly source: ByteSource } | undefined;
  /** Where memory comes from while the guest runs. */
  readonly late: LateMemory | undefined;
}

/** Files that hold memory, ready to be read at any place. */
export type LateMemory = Pick<ArrivalParts, 'snapshot' | 'inflateNow'> & { readonly base: ArrivalFile | undefined };

const SUFFIX: Readonly<Record<DiskMode, string>> = { cow: ',cow', ro: ',ro', overlay: '', rw: '' };
const MODE_TEXT: Readonly<Record<DiskMode, string>> = {
  cow: 'copy-on-write (cow)',
  ro: 'read-only (ro)',
  overlay: 'under an overlay (overlay=FILE)',
  rw: 'writable in place (rw)',
};

/**
 * Returns overlays that are to take the changes that the snapshot has.
 * @throws UserError when the disks are not those of the snapshot, in their order.
 */
export async function checkDisks(
  saved: readonly SavedDisk[],
  disks: readonly BlockBackend[],
): Promise<readonly OverlayFilling[]> {
  if (saved.length !== disks.length) {
    const names = saved.map((disk) => `${disk.name || `a disk of ${disk.size} bytes`}${SUFFIX[modeOf(disk)]}`);
    const wanted = names.length === 0 ? 'it has none' : `give, in this order: ${names.join(', ')}`;
    const count = (n: number): string => `${n} disk${n === 1 ? '' : 's'}`;
    throw snapshotProblem(`it was taken with ${count(saved.length)}, not ${count(disks.length)}; ${wanted}`);
  }
  const toFill: OverlayFilling[] = [];
  for (const [i, disk] of disks.entries()) {
    const filling = modeOf(saved[i]!) === 'cow' ? disk.filling : undefined;
    await checkDisk(saved[i]!, disk, filling, i);
    if (filling !== undefined) toFill.push(filling);
  }
  return toFill;
}

async function checkDisk(
  saved: SavedDisk,
  disk: BlockBackend,
  filling: OverlayFilling | undefined,
  i: number,
): Promise<void> {
  const what = `disk ${i + 1}${saved.name === '' ? '' : ` (${saved.name})`}`;
  const found = await savedDisk(disk, '');
  const { size } = found;
  const identity = filling === undefined ? found.identity : await baseIdentity(filling.base);
  const mode = modeOf(saved);
  if (filling !== undefined && filling.state !== 'empty')
    throw snapshotProblem(`the overlay of ${what} has changes of its own: name a new file for those of the snapshot`);
  if (filling === undefined && mode !== modeOf(found))
    throw snapshotProblem(`${what} was ${MODE_TEXT[mode]}: give it so again`);
  if (size !== saved.size)
    throw snapshotProblem(`${what} has ${size} bytes, and had ${saved.size}: give the same disk`);
  if (identity !== saved.identity && mode === 'overlay')
    throw snapshotProblem(
      `the overlay of ${what} is another one, or was written after the snapshot was taken: give a copy of it from before that, or start without the snapshot`,
    );
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
  readonly #restoring: Restoring;
  /** Names of the parts that must follow, and what kinds came. */
  readonly #waiting: string[];
  #hasProcessor = false;
  #time: ClockTime | undefined;
  #timeIsSet = false;

  /** Pages that the base has and that are zero. */
  readonly zeroes: number[] = [];

  constructor(parts: SnapshotParts, restoring: Restoring) {
    this.#parts = parts;
    this.#restoring = restoring;
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
        if (this.#restoring.late === undefined) restoreZeroes(memory, content);
        else this.zeroes.push(...zeroPages(content));
        break;
      case 'FILE':
        this.#restoring.boot.add(content);
        break;
      case 'META':
      case 'BOOT':
        throw snapshotProblem('its sections are in a wrong order');
      default:
        kind satisfies never;
    }
  }

  /** The file was whole: so must be the machine. */
  finish(): void {
    if (this.#restoring.late === undefined) this.#restoring.boot.finish();
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
    if (!this.#timeIsSet) this.#parts.virtual.restoreTime(time, this.#restoring.jumps);
    this.#timeIsSet = true;
  }
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
