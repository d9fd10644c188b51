/**
 * A machine under load is saved and goes on in another, again and again, in every way: whole or what changed alone, with its memory there or
 * on its way. Nothing that was typed, printed or written may get lost.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { restoreMachine } from '../../src/api/restore.ts';
import type { BlockBackend } from '../../src/devices/contract.ts';
import { nodeHost } from '../../src/host/node/host.ts';
import { nodeHttp } from '../../src/host/node/http.ts';
import { Machine } from '../../src/host/node/index.ts';
import { PersistentOverlay } from '../../src/storage/changes/persistent-overlay.ts';
import { MemoryFile } from '../../src/storage/memory-file.ts';
import { RawDisk } from '../../src/storage/raw.ts';
import { SlowDisk } from '../support/disks.ts';
import { SnapshotBytes, saved, streamOf } from '../support/snapshots.ts';

const SECTOR = 512;
const SECTORS = 65_536;
/** Lines that are typed ahead of what the guest has answered. */
const AHEAD = 5;
/** A machine lives for less than so many lines, and then some milliseconds. */
const MOST_LINES = 3;
const MOST_PAUSE_MS = 20;
/** Adds what is typed up, writes the count to a sector of its own on both disks, durably, and prints both. */
const PROGRAM =
  'stty -echo; i=0; s=0; echo ready; while read x; do i=$((i+1)); s=$((s+x)); for d in /dev/vda /dev/vdb; do ' +
  'printf \'%08d\' $i | dd of=$d bs=512 seek=$i conv=notrunc,fsync 2>/dev/null; done; echo "got $i $s"; done\n';

export interface CycleRun {
  readonly cycles: number;
  /** Lines that the guest answered, each in order. */
  readonly lines: number;
  /** What was wrong first, if anything. */
  readonly problem: string | undefined;
}

/** What one guest, that lives in many machines, is asked and answers. */
class Conversation {
  #typed = 0;
  #answered = 0;
  #sum = 0;
  #line = '';
  problem: string | undefined;

  get answered(): number {
    return this.#answered;
  }

  /** Types so that the guest always has something to do. */
  typeAhead(machine: Machine): void {
    while (this.#typed < this.#answered + AHEAD) machine.write(`${++this.#typed}\n`);
  }

  /** Resolves when so many more lines were answered, or something was wrong. */
  async goesOn(lines: number): Promise<void> {
    for (const until = this.#answered + lines; this.#answered < until && this.problem === undefined; ) await delay(1);
  }

  heard(bytes: Uint8Array): void {
    const lines = (this.#line + Buffer.from(bytes).toString('latin1')).split('\n');
    this.#line = lines.pop()!;
    for (const line of lines) this.#check(line.trim());
  }

  #check(line: string): void {
    if (!line.startsWith('got ')) return;
    this.#answered += 1;
    this.#sum += this.#answered;
    const expected = `got ${this.#answered} ${this.#sum}`;
    if (line !== expected) this.problem ??= `the guest said '${line}' and not '${expected}'`;
  }
}

/** Two disks: one that is written in place, slowly, and one under an overlay that each machine opens anew. */
class Disks {
  readonly #slow = new SlowDisk(SECTORS * SECTOR);
  readonly #changes = new MemoryFile();

  async open(): Promise<readonly BlockBackend[]> {
    const base = new RawDisk(new MemoryFile(), { size: SECTORS * SECTOR, readOnly: true });
    const options = { identity: 'zeros', name: 'changes', sha256: nodeHttp.sha256 };
    return [this.#slow, await PersistentOverlay.open(base, this.#changes, options)];
  }

  /** What is wrong with what so many lines left, if anything. */
  async problem(count: number): Promise<string | undefined> {
    for (const [disk, backend] of (await this.open()).entries())
      for (let i = 1; i <= Math.min(count, SECTORS - 1); i++) {
        const sector = new Uint8Array(SECTOR);
        await backend.read(i * SECTOR, sector);
        const text = Buffer.from(sector.subarray(0, 8)).toString('latin1');
        if (text !== String(i).padStart(8, '0')) return `sector ${i} of disk ${disk + 1} holds '${text}'`;
      }
    return undefined;
  }
}

/** Saves a machine and makes another of that, in a way that chance chooses. */
class Passage {
  readonly #disks: Disks;
  /** A complete snapshot. */
  #base: Uint8Array | undefined;

  constructor(disks: Disks) {
    this.#disks = disks;
  }

  async through(machine: Machine, stop: () => Promise<unknown>): Promise<Machine> {
    const base = Math.random() < 0.5 ? this.#base : undefined;
    const snapshot = await saved(machine, base);
    if (base === undefined) this.#base = snapshot;
    await stop();
    const disks = await this.#disks.open();
    const load = Math.random() < 0.5 ? 'demand' : 'whole';
    const source = (bytes: Uint8Array) => (load === 'demand' ? new SnapshotBytes(bytes) : streamOf(bytes));
    return restoreMachine(nodeHost, source(snapshot), { disks, load, base: base && source(base) });
  }
}

export async function runCycles(cycles: number, told: (cycle: number) => void = () => {}): Promise<CycleRun> {
  const disks = new Disks();
  const passage = new Passage(disks);
  const conversation = new Conversation();
  let machine = await Machine.create({ memory: '32M', disks: await disks.open() });
  let done = 0;
  for (let start = true; ; start = false) {
    machine.onOutput((bytes) => conversation.heard(bytes));
    const typing = machine.onOutput(() => {
      if (!start) conversation.typeAhead(machine);
    });
    const run = machine.run();
    if (start) await begin(machine);
    conversation.typeAhead(machine);
    await conversation.goesOn(Math.floor(Math.random() * MOST_LINES));
    await delay(Math.random() * MOST_PAUSE_MS);
    if (done === cycles || conversation.problem !== undefined) {
      await conversation.goesOn(1);
      machine.stop();
      await run;
      break;
    }
    await machine.pause();
    typing();
    const before = machine;
    machine = await passage.through(before, () => {
      before.stop();
      return run;
    });
    told(++done);
  }
  const problem = conversation.problem ?? (await disks.problem(conversation.answered));
  return { cycles: done, lines: conversation.answered, problem };
}

async function begin(machine: Machine): Promise<void> {
  await machine.waitForText('# ');
  machine.write(PROGRAM);
  await machine.waitForText('ready\r\n');
}

/** The long run: prints as it goes. */
export async function runSnapshots({ count = 1000 }: { readonly count?: number | undefined }): Promise<boolean> {
  const { cycles, lines, problem } = await runCycles(count, (cycle) => {
    if (cycle % 50 === 0) console.log(`snapshots: ${cycle} cycles`);
  });
  const verdict = problem ?? 'nothing lost';
  console.log(`snapshots: ${cycles} cycles of saving and restoring, ${lines} lines answered; ${verdict}`);
  return problem === undefined;
}
