/** What the floating-point instructions of SSE share: lanes of operands, and calls that collect exception flags. */
import type { Procedure, Value } from '../../ir/types.ts';
import type { BoundOperand } from '../operands.ts';
import { commitSseFlags } from '../procedures/softfloat-sse.ts';
import { XMM } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';
import { alignedGet, zeroExtended } from './sse-common.ts';

export type LaneType = 'i32' | 'i64';
const SHAPE = { i32: 'i32x4', i64: 'i64x2' } as const;
const BYTES = { i32: 4, i64: 8 } as const;

const laneAt = (x: X86Builder, register: BoundOperand, type: LaneType, lane: number): Value =>
  x.add(register.number(), lane * BYTES[type]);

/** Lanes of an XMM register or of aligned memory, the lowest first; all of a 128-bit operand unless `count` says fewer. */
export function readLanes(x: X86Builder, operand: BoundOperand, type: LaneType, count = 16 / BYTES[type]): Value[] {
  const indices = Array.from({ length: count }, (_, i) => i);
  if (!operand.memory) return indices.map((i) => x.getAt(XMM, laneAt(x, operand, type, i), type));
  const value = alignedGet(x, operand);
  if (value.type === 'i128') return indices.map((i) => x.op(`${SHAPE[type]}.extract`, [value], [i]));
  // Half a vector in memory.
  if (type === 'i64') return [value];
  return indices.map((i) => x.trunc(x.shrU(value, 32 * i), 'i32'));
}

/** Writes lanes of an XMM register from the lowest; the rest stays. */
export function writeLanes(x: X86Builder, register: BoundOperand, values: readonly Value[]): void {
  for (const [i, value] of values.entries()) {
    x.setAt(XMM, laneAt(x, register, value.type as LaneType, i), value);
  }
}

/** Calls lane procedures, whose last result are exception flags, and commits the flags of all at once. */
export class LaneCalls {
  readonly #x: X86Builder;
  #flags: Value | undefined;

  constructor(x: X86Builder) {
    this.#x = x;
  }

  /** The first result. */
  call(procedure: Procedure, ...args: readonly Value[]): Value {
    const [result, flags] = this.#x.call(procedure, ...args);
    this.#flags = this.#flags === undefined ? flags : this.#x.or(this.#flags, flags);
    return result;
  }

  /** Adds the flags to MXCSR; an unmasked exception ends the instruction here. Before any register is written. */
  commit(): void {
    const flags = this.#flags;
    if (flags !== undefined) commitFlags(this.#x, flags);
  }
}

export function commitFlags(x: X86Builder, flags: Value): void {
  x.if(x.ne(flags, 0), () => {
    x.call(commitSseFlags, flags);
  });
}

/** The register of a scalar operand, whole; a scalar in memory with zeros above it. */
export const wholeRegister = (x: X86Builder, operand: BoundOperand): Value =>
  operand.memory ? zeroExtended(x, operand.get()) : x.getAt(XMM, operand.number(), 'i128');
export const setWhole = (x: X86Builder, register: BoundOperand, value: Value): void =>
  x.setAt(XMM, register.number(), value);
