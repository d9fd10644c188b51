/** A machine that counts the sensitive and privileged instructions its guest executes. */
import { ExecutionCounters } from '../engine/execution-counters.ts';
import { classify, classOf, isSensitive, type Verdict } from '../isa/classify/verdict.ts';
import { type X86Architecture, x86Architecture } from '../isa/classify/x86/architectures.ts';
import type { X86Case } from '../isa/classify/x86/cases.ts';
import { classifyNonRoot, parseControls } from '../isa/classify/x86/vtx.ts';
import type { Encoding } from '../isa/x86/definition.ts';
import { SEGMENT_STRIDE } from '../isa/x86/state.ts';
import type { InstructionCount, RunCounts } from './estimates.ts';
import type { Host } from './host.ts';
import { createMachine, type Machine, type Probe } from './machine.ts';
import type { MachineOptions } from './options.ts';
import { PageTableWatch } from './page-table-watch.ts';
import { type RestoreOptions, restoreMachine } from './restore.ts';
import type { SnapshotSource } from './snapshot-sources.ts';

/** The controls of a monitor with nested paging, and of one with shadow page tables. */
const WITH_EPT = 'usual';
const WITHOUT_EPT = 'usual,-ept,cr3-load,cr3-store,invlpg';

interface Judged {
  readonly verdict: Verdict;
  readonly withEpt: boolean;
  readonly withoutEpt: boolean;
}

/** The case of an execution: its row, place and system register. */
const keyOf = (row: Encoding, memory: boolean, operand: number): string => `${row.id} ${memory} ${operand}`;

function caseKey({ row, variants }: X86Case): string {
  const [{ parameters, fields }] = variants;
  const reg = Number(fields.reg ?? 0n);
  return keyOf(row, parameters.memory, row.operands.includes('Sw') ? reg / SEGMENT_STRIDE : reg);
}

function judgeAll(architecture: X86Architecture, into: Map<string, Judged>): void {
  const verdicts = classify(architecture);
  const withEpt = classifyNonRoot(architecture, parseControls(WITH_EPT));
  const withoutEpt = classifyNonRoot(architecture, parseControls(WITHOUT_EPT));
  for (const [i, c] of architecture.cases().entries()) {
    const key = caseKey(c);
    if (into.has(key)) continue;
    into.set(key, { verdict: verdicts[i], withEpt: withEpt[i].privileged, withoutEpt: withoutEpt[i].privileged });
  }
}

/** Verdicts of 64-bit mode, and of 32-bit mode for what is only there. */
function judgements(): ReadonlyMap<string, Judged> {
  const all = new Map<string, Judged>();
  for (const name of ['x86-64', 'x86-32']) judgeAll(x86Architecture(name)!, all);
  return all;
}

/** A machine with counters: `counts()` tells what happened since it was made, or since `start()`. */
export interface CountingMachine {
  readonly machine: Machine;
  /** Begins anew: what happened before does not count. */
  start(): void;
  counts(): RunCounts;
}

const plus = (all: Readonly<Record<string, number>>): number => Object.values(all).reduce((a, b) => a + b, 0);

class Counting implements CountingMachine {
  readonly machine: Machine;
  readonly #counters: ExecutionCounters;
  readonly #watch: PageTableWatch;
  readonly #judged: ReadonlyMap<string, Judged>;
  #before: RunCounts | undefined;

  constructor(
    machine: Machine,
    counters: ExecutionCounters,
    watch: PageTableWatch,
    judged: ReadonlyMap<string, Judged>,
  ) {
    this.machine = machine;
    this.#counters = counters;
    this.#watch = watch;
    this.#judged = judged;
  }

  start(): void {
    this.#before = this.#now();
  }
  counts(): RunCounts {
    const now = this.#now();
    return this.#before === undefined ? now : since(this.#before, now);
  }

  #now(): RunCounts {
    const { instructions, instructionsBefore, exceptions, interrupts, devices } = this.machine.statistics();
    const accesses = Object.values(devices).reduce((total, { reads, writes }) => total + reads + writes, 0);
    return {
      instructions: instructions - instructionsBefore,
      kinds: this.#kinds(),
      pageTableWrites: this.#watch.changes,
      pageFaults: exceptions['#PF'] ?? 0,
      exceptions: plus(exceptions),
      interrupts: plus(interrupts),
      deviceAccesses: accesses,
    };
  }

  #kinds(): readonly InstructionCount[] {
    const kinds = new Map<string, InstructionCount>();
    for (const { encoding, memory, operand, level, count } of this.#counters.counts()) {
      const judged = this.#judged.get(keyOf(encoding, memory, operand));
      if (judged === undefined) continue;
      const { verdict, withEpt, withoutEpt } = judged;
      const key = `${verdict.name} ${verdict.case} ${level}`;
      kinds.set(key, {
        name: verdict.name,
        case: verdict.case,
        class: classOf(verdict),
        sensitive: isSensitive(verdict),
        privileged: verdict.privileged,
        level,
        count: count + (kinds.get(key)?.count ?? 0),
        exits: { withEpt, withoutEpt },
      });
    }
    return [...kinds.values()].sort((a, b) => b.count - a.count);
  }
}

function since(before: RunCounts, now: RunCounts): RunCounts {
  const old = new Map(before.kinds.map((k) => [`${k.name} ${k.case} ${k.level}`, k.count]));
  const kinds = now.kinds
    .map((k) => ({ ...k, count: k.count - (old.get(`${k.name} ${k.case} ${k.level}`) ?? 0) }))
    .filter((k) => k.count > 0)
    .sort((a, b) => b.count - a.count);
  return {
    instructions: now.instructions - before.instructions,
    kinds,
    pageTableWrites: now.pageTableWrites - before.pageTableWrites,
    pageFaults: now.pageFaults - before.pageFaults,
    exceptions: now.exceptions - before.exceptions,
    interrupts: now.interrupts - before.interrupts,
    deviceAccesses: now.deviceAccesses - before.deviceAccesses,
  };
}

/**
 * Makes a machine whose interpreter counts; an instruction counts when it starts, so one that faults counts again when it is repeated, and
 * a string instruction counts once for each element.
 * @throws UserError as `createMachine` does.
 */
export const createCountingMachine = (host: Host, options: MachineOptions): Promise<CountingMachine> =>
  counting((probe) => createMachine(host, { ...options, ...COUNTED }, probe));

/**
 * Makes a machine as a snapshot has it that counts from there on.
 * @throws UserError as `restoreMachine` does.
 */
export const restoreCountingMachine = (
  host: Host,
  source: SnapshotSource,
  options: RestoreOptions,
): Promise<CountingMachine> => counting((probe) => restoreMachine(host, source, { ...options, ...COUNTED }, probe));

/** What can count. */
const COUNTED = { engine: 'wasm', tier: 'interpreter' } as const;

async function counting(make: (probe: Probe) => Promise<Machine>): Promise<CountingMachine> {
  const judged = judgements();
  const rows = new Set<string>();
  for (const [key, { verdict, withEpt, withoutEpt }] of judged)
    if (isSensitive(verdict) || verdict.privileged || withEpt || withoutEpt) rows.add(key.replace(/ \d+$/, ''));
  const counters = new ExecutionCounters((encoding, memory) => rows.has(`${encoding.id} ${memory}`));
  const watch = new PageTableWatch();
  const probe = { instrument: counters, wrap: (engine: Parameters<PageTableWatch['wrap']>[0]) => watch.wrap(engine) };
  return new Counting(await make(probe), counters, watch, judged);
}
