import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OPS } from '../ir/ops.ts';
import type { IntegerType, OpNode, Type, Value } from '../ir/types.ts';
import { WIDTH } from '../ir/types.ts';
import { transfer } from './transfer.ts';
import { type Abstract, known, maskOf, NOWHERE, type Source } from './value.ts';

const SECRET: Source = { name: 'secret', class: 'control' };

const BINARY = ['add', 'sub', 'mul', 'and', 'or', 'xor', 'shl', 'shr_u', 'shr_s', 'eq', 'ne', 'lt_u', 'le_u', 'lt_s'];
const UNARY = ['trunc.i1', 'trunc.i8', 'zext.i64', 'sext.i64', 'popcnt', 'clz'];
const TYPES = ['i8', 'i16', 'i32', 'i64'] as const;

const parameter = (type: Type, index: number): Value => ({ kind: 'parameter', number: index, type, index });
function node(op: string, types: readonly Type[]): OpNode {
  return {
    kind: 'op',
    number: types.length,
    op,
    type: OPS[op].result(types[0], types[1]),
    args: types.map(parameter),
    immediate: [],
  };
}
const compute = (n: OpNode, args: readonly bigint[]): bigint =>
  OPS[n.op].evaluate(args, n.op === 'select' ? n.type : n.args[0].type, n.immediate);

/** Known bits, bits that depend on a secret, and two values that agree but for those. */
interface Sample {
  readonly abstract: Abstract;
  readonly values: readonly [bigint, bigint];
}
const bits = fc.bigInt({ min: 0n, max: maskOf(64) });
const sample = (width: number): fc.Arbitrary<Sample> =>
  fc
    .record({
      value: bits,
      decided: fc.oneof(bits, fc.constant(0n), fc.constant(maskOf(64))),
      secret: bits,
      other: bits,
    })
    .map(({ value, decided, secret, other }) => {
      const mask = maskOf(width);
      const fixed = decided & mask;
      const tainted = secret & mask & ~fixed;
      const first = value & mask;
      const second = (first & ~tainted) | (other & tainted);
      const taint = tainted === 0n ? new Map() : new Map([[SECRET, tainted]]);
      const abstract = { width, zeros: fixed & ~first, ones: fixed & first, taint, sameAt: NOWHERE, sameMask: 0n };
      return { abstract, values: [first, second] as const };
    });

function holds(n: OpNode, samples: readonly Sample[]): void {
  const result = transfer(
    n,
    samples.map((s) => s.abstract),
  );
  const [first, second] = [0, 1].map((i) =>
    compute(
      n,
      samples.map((s) => s.values[i]),
    ),
  );
  for (const value of [first, second]) {
    assert.equal(value & result.zeros, 0n, `${n.op}: a bit known to be 0 is 1`);
    assert.equal(~value & result.ones, 0n, `${n.op}: a bit known to be 1 is 0`);
  }
  const depends = result.taint.get(SECRET) ?? 0n;
  assert.equal((first ^ second) & ~depends, 0n, `${n.op}: a bit depends on the secret and is not said to`);
}

test('known bits are right and no dependency is missed', () => {
  const type = fc.constantFrom<IntegerType>(...TYPES);
  const binary = type.chain((t) =>
    fc.tuple(fc.constantFrom(...BINARY), fc.constant(t), sample(WIDTH[t]), sample(WIDTH[t])),
  );
  fc.assert(
    fc.property(binary, ([op, t, a, b]) => holds(node(op, [t, t]), [a, b])),
    { numRuns: 5000 },
  );
  const unary = type.chain((t) => fc.tuple(fc.constantFrom(...UNARY), fc.constant(t), sample(WIDTH[t])));
  fc.assert(
    fc.property(unary, ([op, t, a]) => holds(node(op, [t]), [a])),
    { numRuns: 2000 },
  );
  const select = type.chain((t) => fc.tuple(fc.constant(t), sample(1), sample(WIDTH[t]), sample(WIDTH[t])));
  fc.assert(
    fc.property(select, ([t, c, a, b]) => holds(node('select', ['i1', t, t]), [c, a, b])),
    { numRuns: 1000 },
  );
});

test('a register with some bits put in keeps the others as its own', () => {
  const register: Abstract = { width: 32, zeros: 0n, ones: 0n, taint: new Map(), sameAt: 8, sameMask: maskOf(32) };
  const cleared = transfer(node('and', ['i32', 'i32']), [register, known(32, 0xfffffdffn)]);
  assert.deepEqual([cleared.sameAt, cleared.sameMask], [8, 0xfffffdffn]);
  const written = transfer(node('or', ['i32', 'i32']), [cleared, known(32, 0x200n)]);
  assert.deepEqual([written.sameAt, written.sameMask, written.ones], [8, 0xfffffdffn, 0x200n]);
  const untouched = transfer(node('or', ['i32', 'i32']), [register, known(32, 0n)]);
  assert.equal(untouched.sameMask, maskOf(32));
});
