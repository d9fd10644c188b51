/**
 * Tries the verdicts of the classifier: the meaning of each instruction case is evaluated from random states of user and of supervisor
 * mode, two at a time that differ in nothing of the program's own. Where the verdict says that something cannot be, it must not be.
 */
import { evaluate, GuestFault } from '../../src/engine/reference/evaluate.ts';
import { classOf, footprintsOf, judge, type Verdict } from '../../src/isa/classify/verdict.ts';
import type { X86Architecture } from '../../src/isa/classify/x86/architectures.ts';
import type { Variant, X86Case } from '../../src/isa/classify/x86/cases.ts';
import type { FieldName, Statement } from '../../src/isa/ir/types.ts';
import { bodyOf } from '../../src/isa/x86/body.ts';
import { IP_BASE_AT, SEGMENT_STRIDE, ZERO_AT } from '../../src/isa/x86/state.ts';
import { Random } from './random.ts';
import { Trial } from './sensitivity-state.ts';

type Mode = 'user' | 'supervisor';
type Fields = Record<FieldName, bigint>;

export interface Disagreement {
  readonly verdict: Verdict;
  readonly problem: string;
}
export interface SensitivityReport {
  readonly architecture: string;
  /** Evaluations of one instruction from one state. */
  readonly evaluations: number;
  /** Of these, ended without a trap. */
  readonly completed: number;
  readonly instructionCases: number;
  readonly disagreements: readonly Disagreement[];
  /** Mnemonics judged sensitive and unprivileged of which no pair of states showed it. */
  readonly unwitnessed: readonly string[];
}

interface Subject {
  readonly of: X86Case;
  readonly verdict: Verdict;
  readonly bodies: readonly (readonly Statement[])[];
}

const MOST_SHOWN = 50;

/** A register number where the operand code wants one. */
function registerField(random: Random, code: string, long: boolean): bigint {
  const [kind] = code;
  if (code.startsWith('ST')) return BigInt(random.below(8));
  if ('PQN'.includes(kind)) return BigInt(random.below(8) * 16);
  const n = random.below(long ? 16 : 8);
  return BigInt('VWU'.includes(kind) ? n * 16 : n * 8);
}

function immediate(random: Random, code: string, v: Variant): bigint {
  const bits = random.u64();
  switch (code.slice(0, 1) + code.slice(1)) {
    case 'Ib':
      return bits & 0xffn;
    case 'Iw':
      return bits & 0xffffn;
    case 'Ibs':
    case 'Jb':
      return BigInt.asUintN(64, BigInt.asIntN(8, bits));
    case 'Iv':
      return BigInt.asUintN(v.parameters.operandSize, bits);
    case 'Ap':
      return BigInt.asUintN(v.parameters.operandSize === 16 ? 16 : 32, bits);
    default:
      if (code.startsWith('O')) return BigInt.asUintN(v.parameters.addressSize, bits);
      return BigInt.asUintN(64, BigInt.asIntN(32, bits));
  }
}

/** Operands as a decoder would give them. */
function fieldsOf(random: Random, c: X86Case, v: Variant): Fields {
  const { long, memory } = v.parameters;
  const { operands } = c.row;
  const fields: Fields = {
    length: 3n,
    offset: 0x123n,
    segment: BigInt(random.below(6) * SEGMENT_STRIDE),
    scale: BigInt(random.below(4)),
    reg: 0n,
    rm: BigInt(ZERO_AT),
    index: BigInt(random.chance(0.5) ? ZERO_AT : random.below(long ? 16 : 8) * 8),
    displacement: BigInt(random.chance(0.3) ? 0 : random.chance(0.3) ? random.u32() : random.below(256)),
    immediate: 0n,
  };
  if (memory) fields.rm = BigInt(random.pick([ZERO_AT, IP_BASE_AT, random.below(long ? 16 : 8) * 8]));
  let immediates = 0;
  for (const code of operands) {
    if ('GZVP'.includes(code[0])) fields.reg = registerField(random, code, long);
    else if (!memory && ('EWQRUN'.includes(code[0]) || code === 'STi')) fields.rm = registerField(random, code, long);
    else if (/^[IJAO]/.test(code)) {
      const value = immediate(random, code, v);
      if (immediates++ === 0) fields.immediate = value;
      else fields.displacement = BigInt.asUintN(32, value);
      if (code === 'Ap') fields.displacement = BigInt(random.u32() & 0xffff);
    }
  }
  return { ...fields, ...v.fields } as Fields;
}

export class SensitivityCheck {
  readonly #architecture: X86Architecture;
  readonly #random: Random;
  readonly #subjects: readonly Subject[];
  readonly #trials = [new Trial(), new Trial()] as const;
  readonly #witnessed = new Set<string>();
  readonly #disagreements: Disagreement[] = [];
  #completed = 0;

  constructor(architecture: X86Architecture, seed: number) {
    this.#architecture = architecture;
    this.#random = new Random(seed);
    this.#subjects = architecture.cases().map((c) => ({
      of: c,
      verdict: judge(c, footprintsOf(architecture, c)),
      bodies: c.variants.map((v) => bodyOf(c.row, v.parameters)),
    }));
  }

  /** At least `evaluations` evaluations, as many of each case. */
  run(evaluations: number, progress: (done: number) => void = () => {}): SensitivityReport {
    let done = 0;
    while (done < evaluations) {
      for (const subject of this.#subjects) this.#tryOne(subject);
      done += this.#subjects.length * 2;
      progress(done);
    }
    const sensitive = this.#subjects.filter((s) => classOf(s.verdict) === 'sensitive, unprivileged');
    const names = new Set(sensitive.map((s) => s.verdict.name));
    return {
      architecture: this.#architecture.name,
      evaluations: done,
      completed: this.#completed,
      instructionCases: this.#subjects.length,
      disagreements: this.#disagreements,
      unwitnessed: [...names].filter((n) => !this.#witnessed.has(n)),
    };
  }

  #tryOne(subject: Subject): void {
    const random = this.#random;
    const [a, b] = this.#trials;
    const { long, contexts } = this.#architecture;
    const n = random.below(subject.bodies.length);
    const variant = subject.of.variants[n];
    const fields = fieldsOf(random, subject.of, variant);
    const base = variant.parameters.segmented ? random.u64() >> 17n : undefined;
    a.fillProgram(random, long);
    b.copyProgram(a);
    const modes = [a, b].map((trial): Mode => {
      const mode = random.chance(0.5) ? 'user' : 'supervisor';
      trial.fillSystem(random, contexts[mode].known, long, base);
      trial.begin(fields);
      evaluateOne(trial, subject.bodies[n]);
      return mode;
    });
    this.#judge(subject.verdict, modes);
  }

  #judge(verdict: Verdict, modes: readonly Mode[]): void {
    const [a, b] = this.#trials;
    for (const [i, trial] of this.#trials.entries()) {
      if (trial.vector !== undefined) continue;
      this.#completed++;
      const mode = modes[i];
      if (verdict.undefined) this.#disagree(verdict, `it completes in ${mode} mode and should always trap`);
      if (verdict.privileged && mode === 'user') this.#disagree(verdict, 'it completes in user mode and should trap');
      const change = trial.systemChange();
      if (change === undefined) continue;
      this.#witnessed.add(verdict.name);
      const mayChange = mode === 'user' ? verdict.userSensitive && verdict.controlSensitive : verdict.controlSensitive;
      if (!mayChange) this.#disagree(verdict, `it changes ${change} in ${mode} mode and should change nothing`);
    }
    if (a.vector !== undefined || b.vector !== undefined) return;
    const difference = a.programDifference(b);
    if (difference === undefined) return;
    this.#witnessed.add(verdict.name);
    const bothUser = modes.every((m) => m === 'user');
    const mayDiffer = bothUser ? verdict.userSensitive && verdict.behaviourSensitive : verdict.behaviourSensitive;
    if (!mayDiffer)
      this.#disagree(verdict, `${difference} depends on system state (${modes.join(' and ')} mode) and should not`);
  }

  #disagree(verdict: Verdict, problem: string): void {
    if (this.#disagreements.length < MOST_SHOWN) this.#disagreements.push({ verdict, problem });
  }
}

function evaluateOne(trial: Trial, body: readonly Statement[]): void {
  try {
    evaluate(trial, body);
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
  }
}
