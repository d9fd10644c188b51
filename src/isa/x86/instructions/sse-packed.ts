/** Packed operations that MMX and XMM registers share: one meaning on 128 bits, from which the 64-bit form follows. */
import type { Value } from '../../ir/types.ts';
import { type Compute, type Encoding, instruction, type Semantics } from '../definition.ts';
import type { BoundOperand } from '../operands.ts';
import type { X86Builder } from '../x86-builder.ts';
import { requireMmx, setMmx } from './mmx-common.ts';
import { alignedGet, requireSse } from './sse-common.ts';

/**
 * How the 64-bit form comes from the 128-bit operation. `each`: the halves of the operation are independent, so either gives the result;
 * `high`: the upper half of the result, with operands in both halves (unpacking of high lanes); `joined`: the operation takes the lanes of
 * the first operand, then those of the second, so it works on both in one vector; `none`: there is no such form.
 */
export type MmxForm = 'each' | 'high' | 'joined' | 'none';

export interface PackedOptions {
  readonly mmx?: MmxForm;
  /** The MMX source operand; `Qd` where memory has 32 bits. */
  readonly mmxSource?: 'Qq' | 'Qd';
}

/** Mnemonic, opcode without its mandatory prefix, operation on 128 bits of destination and source. */
export type PackedRow = readonly [name: string, opcode: string, compute: Compute, options?: PackedOptions];

/** The operation of the IR called `op`, of destination and source. */
export const vectorOp =
  (op: string): Compute =>
  (x, a, b) =>
    x.op(op, [a, b]);

/** The operand is an MMX register or its memory form. */
export function isMmx(operand: BoundOperand): boolean {
  return 'PQN'.includes(operand.code[0]);
}

/** A vector with the 64 bits of `value` in both halves. */
export function inBothHalves(x: X86Builder, value: Value): Value {
  return x.op('i64x2.splat', [x.zext(value, 'i64')]);
}
export function half(x: X86Builder, vector: Value, which: 'low' | 'high'): Value {
  return x.op('i64x2.extract', [vector], [which === 'low' ? 0 : 1]);
}
/** A vector of a low and a high half, both `i64`. */
export function joinHalves(x: X86Builder, low: Value, high: Value): Value {
  return x.op('i64x2.replace', [x.op('i64x2.splat', [low]), high], [1]);
}

function computeMmx(x: X86Builder, form: Exclude<MmxForm, 'none'>, compute: Compute, a: Value, b: Value): Value {
  switch (form) {
    case 'each':
      return half(x, compute(x, inBothHalves(x, a), inBothHalves(x, b)), 'low');
    case 'high':
      return half(x, compute(x, inBothHalves(x, a), inBothHalves(x, b)), 'high');
    case 'joined': {
      const both = joinHalves(x, a, x.zext(b, 'i64'));
      return half(x, compute(x, both, both), 'low');
    }
    default:
      return form satisfies never;
  }
}

function packedSemantics(compute: Compute, form: MmxForm): Semantics {
  return (x, dst, src) => {
    if (form !== 'none' && isMmx(dst)) {
      requireMmx(x);
      const source = src.get();
      setMmx(x, dst, computeMmx(x, form, compute, dst.get(), source));
      return;
    }
    requireSse(x);
    const source = alignedGet(x, src);
    dst.set(compute(x, dst.get(), source));
  };
}

/** Declares packed operations with their MMX (no prefix) and XMM (66) rows. */
export function packed(rows: readonly PackedRow[]): readonly Encoding[] {
  return rows.flatMap(([name, opcode, compute, options = {}]) => {
    const { mmx = 'each', mmxSource = 'Qq' } = options;
    const semantics = packedSemantics(compute, mmx);
    const mmxRows = mmx === 'none' ? [] : [`NP ${opcode} /r | Pq,${mmxSource}`];
    return [
      ...instruction({ name, rows: mmxRows, semantics }),
      ...instruction({ name, rows: [`66 ${opcode} /r | Vx,Wx`], semantics }),
    ];
  });
}
