/** Snapshots: a whole machine to a stream of bytes and back. */
import type { BootSource } from '../boot/source.ts';
import type { BlockBackend, GuestMemory } from '../devices/contract.ts';
import type { VcpuState } from '../engine/engine.ts';
import { PAGE_SIZE } from '../engine/layout.ts';
import { toHex } from '../hex.ts';
import type { Machine as VirtualMachine } from '../machine/machine.ts';
import type { EmbeddedModules } from '../snapshot/boot-sections.ts';
import { bootDescription, fileSections } from '../snapshot/boot-sections.ts';
import { SnapshotReader, SnapshotWriter } from '../snapshot/container.ts';
import type { SavedDisk, SnapshotDescription } from '../snapshot/description.ts';
import { parseDescription, toJson } from '../snapshot/description.ts';
import { changeSections } from '../snapshot/disk-changes.ts';
import { diskIdentity } from '../snapshot/disk-identity.ts';
import { BasePages, ramSections } from '../snapshot/pages.ts';
import { snapshotProblem } from '../snapshot/problem.ts';
import { saveState } from '../snapshot/state-writer.ts';
import type { ByteSource, ByteTarget } from '../snapshot/streams.ts';
import { UserError } from '../user-error.ts';
import { translate } from './guest-view.ts';
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

/**
 * Writes the machine, which stands still meanwhile; where another thread compresses, until all was copied. A file that could not be written
 * whole is aborted.
 */
export async function saveSnapshot(parts: SavedParts, target: ByteTarget, listener: SnapshotListener): Promise<void> {
  const { host, memory, virtual } = parts;
  const packer = host.packer && (await host.packer());
  const writer = new SnapshotWriter(target, packer?.deflate);
  const end = async (recent: number): Promise<void> => {
    await writer.end(recent);
    listener({ bytes: writer.written, memoryDone: memory.size, memory: memory.size });
  };
  try {
    const recent = await virtual.whileResting(async () => {
      const recent = await give(parts, writer, listener);
      if (packer === undefined) await end(recent);
      return recent;
    });
    if (packer !== undefined) await end(recent);
  } catch (error) {
    await writer.abort(error);
    throw error;
  } finally {
    packer?.end();
  }
}

/** Gives the state of the machine to a writer; so many sections of memory have what the processor used last. */
async function give(parts: SavedParts, writer: SnapshotWriter, listener: SnapshotListener): Promise<number> {
  const { virtual, memory, disks } = parts;
  const pages = new BasePages();
  const base = parts.base && (await readBase(parts.base, (content) => pages.compare(memory, content), memory.size));
  await writer.begin();
  await writer.add('META', toJson(await describe(parts, base ?? null)));
  const { boot, embedded } = await parts.loadBoot();
  await writer.add('BOOT', bootDescription(boot, embedded));
  await writer.add('CPU0', toJson(savedProcessor(virtual.vcpu.state())));
  await writer.add('TIME', toJson(saveState(timeState(virtual.time))));
  for (const { name, version, state } of virtual.sections())
    await writer.add('PART', toJson({ name, version, state: saveState(state) }));
  for (const [i, disk] of disks.entries())
    if (disk.overlay !== undefined)
      for await (const content of changeSections(i, disk.overlay)) await writer.add('DISK', content);
  const zeroes = pages.zeroSection();
  if (zeroes !== undefined) await writer.add('ZERO', zeroes);
  let recent = 0;
  for (const { content, first, done } of ramSections(memory, recentPages(parts), pages)) {
    await writer.add('PAGE', content, () => listener({ bytes: writer.written, memoryDone: done, memory: memory.size }));
    if (first) recent += 1;
  }
  for (const content of fileSections(boot, embedded)) await writer.add('FILE', content);
  return recent;
}

/** What the processor will likely need first: what it used last, and the page tables that lead there. */
function recentPages({ virtual: { vcpu }, memory }: SavedParts): ReadonlySet<number> {
  const pages = new Set<number>();
  for (const [page, linear] of vcpu.recentPages?.() ?? []) {
    pages.add(page);
    if (linear !== undefined) translate(vcpu, memory, linear, (at) => pages.add(Math.floor(at / PAGE_SIZE)));
  }
  return pages;
}

/** Gives `page` each section of memory of the snapshot that another one builds on; its identifier. */
export async function readBase(
  source: ByteSource,
  page: (content: Uint8Array) => void,
  memory: number,
): Promise<string> {
  const reader = new SnapshotReader(source);
  try {
    const first = await reader.next();
    if (first?.kind !== 'META') throw snapshotProblem('its base does not begin with its description');
    const base = parseDescription(first.content);
    checkBase(base, memory, undefined);
    for (let section = await reader.next(); section !== undefined; section = await reader.next())
      if (section.kind === 'PAGE') page(section.content);
    return base.id;
  } finally {
    await reader.cancel();
  }
}

/** @throws UserError when a snapshot of so much memory cannot build on this one; `id`: the one that it does build on */
export function checkBase(base: SnapshotDescription, memory: number, id: string | undefined): void {
  if (base.base !== null) throw snapshotProblem('its base builds on another one: give a base that is complete');
  if (base.memory !== memory) throw snapshotProblem('its base has another size of memory');
  if (id !== undefined && base.id !== id)
    throw snapshotProblem(`it builds on the snapshot ${id}, and ${base.id} was given as base`);
}

async function describe(parts: SavedParts, base: string | null): Promise<SnapshotDescription> {
  const { virtual, memory, disks, host } = parts;
  const id = new Uint8Array(16);
  host.randomFill(id);
  const { instructions, guestNs } = virtual.statistics();
  for (const [i, disk] of disks.entries()) await settle(disk, toHex(id), parts.diskNames[i] || `disk ${i + 1}`);
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

/** What the snapshot relies on is durable before it is. */
async function settle(disk: BlockBackend, id: string, name: string): Promise<void> {
  if (disk.readOnly || disk.overlay !== undefined) return;
  try {
    await (disk.pin?.(id) ?? disk.flush());
  } catch (error) {
    throw new UserError(`${name} cannot be made durable (${(error as Error).message}): nothing is saved without that`);
  }
}

export async function savedDisk(disk: BlockBackend, name: string): Promise<SavedDisk> {
  const { size, readOnly } = disk;
  return { name, size, readOnly, overlay: disk.overlay !== undefined, identity: await diskIdentity(disk) };
}

function savedProcessor({ registers, halted, retired }: VcpuState): unknown {
  const entries = [...registers].map(([name, value]) => [name, `0x${value.toString(16)}`]);
  return { version: 1, halted, retired, registers: Object.fromEntries(entries) };
}

/** Wall-clock times that a `Date` can hold. */
const MOST_WALL_MS = 8_640_000_000_000_000;
const MOST_NS = 2n ** 63n;

export function timeState(time: { ns: bigint; wallMs: number }) {
  return {
    transferState(state: import('../devices/state.ts').StateTransfer): void {
      time.ns = state.big('ns', time.ns);
      time.wallMs = Math.round(state.integer('wallMs', Math.round(time.wallMs), -MOST_WALL_MS, MOST_WALL_MS));
      state.require(time.ns >= 0n && time.ns < MOST_NS, 'the time is none');
    },
  };
}
