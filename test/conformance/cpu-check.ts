/** The engines against the host's own processor, on random cases. */
import type { Encoding } from '../../src/isa/x86/definition.ts';
import { disassemble } from '../../src/isa/x86/disassemble.ts';
import { type GeneratedCase, generateCase } from './case-generator.ts';
import type { Case, Outcome } from './cpu-case.ts';
import { differences, type Unknown } from './cpu-compare.ts';
import { EmulatedRunner, GUEST_RAM } from './emulated-run.ts';
import { engines } from './engines.ts';
import { CODE_BYTES, CODE_PAGE } from './native-layout.ts';
import { NativeRunner } from './native-run.ts';
import { Random } from './random.ts';
import { unknownOutcome } from './undefined-flags.ts';
import { vendorDifference } from './vendor-differences.ts';

export interface CpuFailure {
  readonly number: number;
  readonly engine: string;
  readonly text: string;
  /** The instruction where the outcomes part, alone. */
  readonly definition: string;
}

export interface CpuReport {
  readonly cases: number;
  /** Cases whose end depends on flags that are undefined. */
  readonly skipped: number;
  readonly failures: readonly CpuFailure[];
  /** Differences that the host did not show a second time. */
  readonly unrepeated: number;
  /** Cases by the vector that ended them. */
  readonly vectors: ReadonlyMap<number, number>;
  /** Rows that were executed to their end at least once. */
  readonly rows: number;
}

export interface CpuOptions {
  readonly only?: readonly Encoding[];
  readonly progress?: (done: number, failures: number) => void;
  /** Give up after this many failures. */
  readonly maxFailures?: number;
}

const BATCH = 500;
const FEW_TRIES = 3;
const MANY_TRIES = 40;

interface Verdict {
  readonly engine: string;
  readonly lines: readonly string[];
}

/** Engines are slow to make: one of each serves all cases. */
export class CpuCheck {
  readonly #native = new NativeRunner();
  #unrepeated = 0;
  readonly #reference = new EmulatedRunner(engines.reference(GUEST_RAM));
  readonly #others = Object.entries(engines.compared).map(([name, make]) => ({
    name,
    runner: new EmulatedRunner(make(GUEST_RAM)),
  }));

  close(): void {
    this.#native.close();
  }

  /** `count` cases out of a seed. */
  run(count: number, seed: number, options: CpuOptions = {}): CpuReport {
    const random = new Random(seed);
    const vectors = new Map<number, number>();
    const rows = new Set<Encoding>();
    const failures: CpuFailure[] = [];
    let skipped = 0;
    for (let done = 0; done < count && failures.length < (options.maxFailures ?? 50); done += BATCH) {
      const cases = Array.from({ length: Math.min(BATCH, count - done) }, () => generateCase(random, options.only));
      const outcomes = this.#native.run(cases);
      for (const [i, c] of cases.entries()) {
        const theirs = outcomes[i];
        vectors.set(theirs.vector, (vectors.get(theirs.vector) ?? 0) + 1);
        for (const { encoding } of executed(c, theirs)) rows.add(encoding);
        const verdict = this.#judgeTwice(c, theirs, random);
        if (verdict === 'skipped') skipped++;
        else if (verdict !== undefined) failures.push(this.#failure(done + i, c, verdict, random));
      }
      options.progress?.(Math.min(done + BATCH, count), failures.length);
    }
    return { cases: count, skipped, failures, unrepeated: this.#unrepeated, vectors, rows: rows.size };
  }

  /** What a host does once and not again is its kernel's affair, as whether a page is in memory when a fetch from it faults. */
  #judgeTwice(c: GeneratedCase, theirs: Outcome, random: Random): Verdict | 'skipped' | undefined {
    const verdict = this.#judge(c, theirs, random);
    if (verdict === undefined || verdict === 'skipped') return verdict;
    const again = this.#judge(c, this.#native.run([c])[0], random);
    if (again === undefined) this.#unrepeated++;
    return again;
  }
  /** Undefined: all agree. */
  #judge(c: GeneratedCase, theirs: Outcome, random: Random): Verdict | 'skipped' | undefined {
    const verdict = this.#compare(c, theirs, random, FEW_TRIES);
    return verdict === undefined || verdict === 'skipped' ? verdict : this.#compare(c, theirs, random, MANY_TRIES);
  }
  /** `tries`: how often to try other values of undefined flags. */
  #compare(c: GeneratedCase, theirs: Outcome, random: Random, tries: number): Verdict | 'skipped' | undefined {
    let ours: ReturnType<typeof unknownOutcome>;
    try {
      ours = unknownOutcome(this.#reference, c, random, tries);
    } catch (error) {
      return { engine: 'reference', lines: [String((error as Error).stack)] };
    }
    if (ours === undefined || vendorDifference(c, theirs)) return 'skipped';
    const { unknown } = ours;
    const lines = [...differences(c, ours.outcome, theirs, unknown)];
    if (lines.length > 0) return { engine: 'reference', lines };
    for (const { name, runner } of this.#others) {
      const verdict = compareEngine(name, runner, c, theirs, unknown);
      if (verdict !== undefined) return verdict;
    }
    return undefined;
  }

  /** The shortest part of the case that still fails: instructions before the one that fails are not needed once their effect is set up. */
  #failure(number: number, c: GeneratedCase, verdict: Verdict, random: Random): CpuFailure {
    const shrunk = this.#shrink(c, random);
    const last = shrunk?.verdict ?? verdict;
    const text = [describe(c), ...verdict.lines.map((line) => `    ${verdict.engine}: ${line}`)];
    if (shrunk !== undefined) {
      text.push(
        '  alone:',
        describe(shrunk.case),
        registersText(shrunk.case),
        ...shrunk.verdict.lines.map((line) => `    ${line}`),
      );
    }
    const definition = shrunk === undefined ? '?' : shrunk.case.instructions[0].encoding.row;
    return { number, engine: last.engine, text: text.join('\n'), definition };
  }

  /** Executes the case natively one instruction more each time; the first prefix that fails shows the instruction and its input. */
  #shrink(c: GeneratedCase, random: Random): { case: GeneratedCase; verdict: Verdict } | undefined {
    const prefixes = c.instructions.map((_, i) => cut(c, i));
    const before = this.#native.run(prefixes);
    let from = 0;
    for (let i = 0; i < c.instructions.length; i++) {
      const alone = startingFrom(c, i, from, before[i]);
      from += c.instructions[i].bytes.length;
      if (alone === undefined) continue;
      const [outcome] = this.#native.run([alone]);
      const verdict = this.#judge(alone, outcome, random);
      if (verdict !== undefined && verdict !== 'skipped') return { case: alone, verdict };
    }
    return undefined;
  }
}

function compareEngine(
  name: string,
  runner: EmulatedRunner,
  c: GeneratedCase,
  theirs: Outcome,
  unknown: Unknown,
): Verdict | undefined {
  try {
    runner.load(c);
    const lines = [...differences(c, runner.finish(), theirs, unknown)];
    return lines.length > 0 ? { engine: name, lines } : undefined;
  } catch (error) {
    return { engine: name, lines: [String((error as Error).stack)] };
  }
}

/** Instructions before the end of the case (branches may have jumped over some). */
function executed(c: GeneratedCase, { rip }: Outcome): GeneratedCase['instructions'] {
  let at = CODE_PAGE;
  return c.instructions.filter(({ bytes }) => (at += bytes.length) <= Number(rip));
}

function offsetOf(c: GeneratedCase, index: number): number {
  return c.instructions.slice(0, index).reduce((sum, { bytes }) => sum + bytes.length, 0);
}

/** The case up to instruction `index`, where INT3 ends it. */
function cut(c: GeneratedCase, index: number): GeneratedCase {
  const code = c.code.slice();
  code.fill(0xcc, offsetOf(c, index));
  return { ...c, code, instructions: c.instructions.slice(0, index) };
}

/** Instruction `index` alone, with the registers that the processor had before it; undefined where it was never reached. */
function startingFrom(c: GeneratedCase, index: number, from: number, before: Outcome): GeneratedCase | undefined {
  const reached = before.vector === 3 && before.rip === BigInt(CODE_PAGE + from + 1);
  if (!reached) return undefined;
  const instruction = c.instructions[index];
  const code = new Uint8Array(CODE_BYTES).fill(0xcc);
  const end = from + instruction.bytes.length;
  // At its own address, so that relative operands stay what they are.
  code.set(c.code.subarray(from, end), from);
  const start: Case = { ...before, mode: c.mode, code, rip: BigInt(CODE_PAGE + from), flags: before.flags & ~0x1_0000 };
  return { ...start, instructions: [instruction], ignored: c.ignored };
}

/** Bytes and text of each instruction. */
function describe(c: GeneratedCase): string {
  let at = Number(c.rip) - CODE_PAGE;
  const lines = c.instructions.map(() => {
    const { text, length } = disassemble(c.code.subarray(at), c.mode, BigInt(CODE_PAGE + at));
    const bytes = Buffer.from(c.code.subarray(at, at + length)).toString('hex');
    at += length;
    return `  ${c.mode}-bit ${bytes.padEnd(24)} ${text}`;
  });
  return lines.join('\n');
}

function registersText(c: Case): string {
  const general = Array.from(c.general, (v) => v.toString(16)).join(' ');
  const view = new DataView(c.fx.buffer, c.fx.byteOffset);
  const control = `FCW ${view.getUint16(0, true).toString(16)} FSW ${view.getUint16(2, true).toString(16)} FTW ${c.fx[4].toString(16)}`;
  const st = Array.from({ length: 8 }, (_, i) =>
    Buffer.from(c.fx.subarray(32 + 16 * i, 42 + 16 * i))
      .reverse()
      .toString('hex'),
  ).join(' ');
  const xmm = Array.from({ length: 16 }, (_, i) =>
    Buffer.from(c.fx.subarray(160 + 16 * i, 176 + 16 * i))
      .reverse()
      .toString('hex'),
  );
  return [
    `    RAX… ${general} RFLAGS ${c.flags.toString(16)}`,
    `    ${control} MXCSR ${view.getUint32(24, true).toString(16)} ST ${st}`,
    `    XMM ${xmm.join(' ')}`,
  ].join('\n');
}
