import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  F32,
  F64,
  type FloatFormat,
  type Fraction,
  fractionOf,
  isFiniteBits,
  ROUNDING,
  round,
} from '../../../../test/support/exact-float.ts';
import { InstructionRun } from '../../../../test/support/instruction-run.ts';
import { CR4_BITS } from '../control-bits.ts';
import { VECTOR } from '../exceptions.ts';

const MXCSR = { DAZ: 0x40n, masked: 0x1f80n, PE: 0x20n, FTZ: 0x8000n } as const;
const FLAGS = { IE: 1n, DE: 2n, ZE: 4n, OE: 8n, UE: 16n, PE: 32n } as const;
const MODRM_XMM0_XMM1 = 0xc1;

/** `op xmm0, xmm1` of scalars; the prefix says which. */
const scalar = (f: FloatFormat, opcode: number): number[] => [f === F32 ? 0xf3 : 0xf2, 0x0f, opcode, MODRM_XMM0_XMM1];

function execute(
  bytes: readonly number[],
  a: bigint,
  b: bigint,
  mxcsr: bigint,
  bits: number,
): { result: bigint; mxcsr: bigint } {
  const m = new InstructionRun();
  m.set('XMM0', a);
  m.set('XMM1', b);
  m.set('MXCSR', mxcsr);
  assert.equal(m.run(bytes), undefined);
  return { result: BigInt.asUintN(bits, m.get('XMM0')), mxcsr: m.get('MXCSR') };
}

/** Bit patterns with many zeros and ones in a row, near each other, and near the ends of the range. */
function numbers(f: FloatFormat): fc.Arbitrary<bigint> {
  const fraction = f.precision - 1;
  const exponents = (1 << (f.bits - f.precision)) - 1;
  const middle = exponents >> 1;
  const exponent = fc.oneof(
    fc.integer({ min: middle - 3, max: middle + 3 }),
    fc.integer({ min: 0, max: 2 }),
    fc.integer({ min: exponents - 3, max: exponents - 1 }),
    fc.integer({ min: 0, max: exponents - 1 }),
  );
  const all = (1n << BigInt(fraction)) - 1n;
  const shift = fc.integer({ min: 0, max: fraction });
  const below = fc.oneof(
    fc.bigInt({ min: 0n, max: all }),
    shift.map((n) => all >> BigInt(n)),
    shift.map((n) => (all << BigInt(n)) & all),
    shift.map((n) => (1n << BigInt(n)) & all),
  );
  return fc
    .tuple(fc.bigInt({ min: 0n, max: 1n }), exponent, below)
    .map(([sign, e, v]) => (sign << BigInt(f.bits - 1)) | (BigInt(e) << BigInt(fraction)) | v);
}

const OPERATIONS: readonly (readonly [name: string, opcode: number, f: (a: Fraction, b: Fraction) => Fraction])[] = [
  ['ADD', 0x58, (a, b) => ({ n: a.n * b.d + b.n * a.d, d: a.d * b.d })],
  ['SUB', 0x5c, (a, b) => ({ n: a.n * b.d - b.n * a.d, d: a.d * b.d })],
  ['MUL', 0x59, (a, b) => ({ n: a.n * b.n, d: a.d * b.d })],
  ['DIV', 0x5e, (a, b) => ({ n: a.n * b.d * (b.n < 0n ? -1n : 1n), d: a.d * (b.n < 0n ? -b.n : b.n) })],
];

for (const [name, opcode, operate] of OPERATIONS) {
  test(`${name} rounds the exact result as MXCSR says`, () => {
    for (const f of [F32, F64]) {
      fc.assert(
        fc.property(numbers(f), numbers(f), fc.integer({ min: 0, max: 3 }), (a, b, rc) => {
          if (name === 'DIV') fc.pre(fractionOf(b, f).n !== 0n);
          const exact = operate(fractionOf(a, f), fractionOf(b, f));
          const { result, mxcsr } = execute(scalar(f, opcode), a, b, MXCSR.masked | (BigInt(rc) << 13n), f.bits);
          if (exact.n === 0n) {
            assert.equal(BigInt.asUintN(f.bits - 1, result), 0n);
            assert.equal(mxcsr & FLAGS.PE, 0n);
            return;
          }
          const want = round(exact, f, ROUNDING[rc]);
          assert.equal(result, want.bits);
          assert.equal((mxcsr & FLAGS.PE) !== 0n, want.inexact);
          const overflows = want.inexact && !isFiniteBits(round(exact, f, 'nearest').bits, f);
          if (rc === 0) assert.equal((mxcsr & FLAGS.OE) !== 0n, overflows);
        }),
        { numRuns: 250 },
      );
    }
  });
}

test('SQRT rounds down to the largest root whose square is not more', () => {
  for (const f of [F32, F64]) {
    fc.assert(
      fc.property(numbers(f), (bits) => {
        const a = BigInt.asUintN(f.bits - 1, bits);
        fc.pre(a !== 0n);
        const down = execute(scalar(f, 0x51), 0n, a, MXCSR.masked | (1n << 13n), f.bits);
        const up = execute(scalar(f, 0x51), 0n, a, MXCSR.masked | (2n << 13n), f.bits);
        const nearest = execute(scalar(f, 0x51), 0n, a, MXCSR.masked, f.bits);
        const value = fractionOf(a, f);
        const compareSquare = (root: bigint): bigint => {
          const r = fractionOf(root, f);
          return r.n * r.n * value.d - value.n * r.d * r.d;
        };
        assert.ok(compareSquare(down.result) <= 0n && compareSquare(up.result) >= 0n);
        const inexact = compareSquare(down.result) !== 0n;
        assert.equal(up.result - down.result, inexact ? 1n : 0n);
        assert.equal((down.mxcsr & FLAGS.PE) !== 0n, inexact);
        assert.ok(nearest.result === down.result || nearest.result === up.result);
      }),
      { numRuns: 120 },
    );
  }
});

test('the fast path and the exact one give what JavaScript computes', () => {
  const view = new DataView(new ArrayBuffer(8));
  const bitsOf = (v: number): bigint => {
    view.setFloat64(0, v);
    return view.getBigUint64(0);
  };
  const valueOf64 = (bits: bigint): number => {
    view.setBigUint64(0, bits);
    return view.getFloat64(0);
  };
  const operations: readonly (readonly [number, (a: number, b: number) => number])[] = [
    [0x58, (a, b) => a + b],
    [0x5c, (a, b) => a - b],
    [0x59, (a, b) => a * b],
    [0x5e, (a, b) => a / b],
    [0x51, (_a, b) => Math.sqrt(b)],
  ];
  fc.assert(
    fc.property(fc.double(), fc.double(), fc.constantFrom(...operations), (a, b, [opcode, compute]) => {
      const want = compute(a, b);
      for (const mxcsr of [MXCSR.masked, MXCSR.masked | MXCSR.PE]) {
        const { result } = execute(scalar(F64, opcode), bitsOf(a), bitsOf(b), mxcsr, 64);
        if (Number.isNaN(want)) assert.ok(Number.isNaN(valueOf64(result)));
        else assert.equal(result, bitsOf(want));
      }
    }),
    { numRuns: 500 },
  );
});

test('integers convert as BigInt does, and what does not fit is the integer indefinite', () => {
  const CVTTSD2SI_RAX = [0xf2, 0x48, 0x0f, 0x2c, MODRM_XMM0_XMM1];
  const CVTSI2SD_RCX = [0xf2, 0x48, 0x0f, 0x2a, MODRM_XMM0_XMM1];
  fc.assert(
    fc.property(numbers(F64), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (bits, integer) => {
      const m = new InstructionRun();
      m.set('XMM1', bits);
      assert.equal(m.run(CVTTSD2SI_RAX), undefined);
      const { n, d } = fractionOf(bits, F64);
      const truncated = n / d;
      const fits = BigInt.asIntN(64, truncated) === truncated;
      assert.equal(BigInt.asIntN(64, m.get('RAX')), fits ? truncated : -(2n ** 63n));
      assert.equal(m.get('MXCSR') & 0x3fn, fits ? (n % d === 0n ? 0n : FLAGS.PE) : FLAGS.IE);
      m.set('RCX', BigInt.asUintN(64, integer));
      m.set('MXCSR', MXCSR.masked);
      assert.equal(m.run(CVTSI2SD_RCX), undefined);
      const want = integer === 0n ? { bits: 0n, inexact: false } : round({ n: integer, d: 1n }, F64, 'nearest');
      assert.equal(BigInt.asUintN(64, m.get('XMM0')), want.bits);
      assert.equal(m.get('MXCSR') !== MXCSR.masked, want.inexact);
    }),
    { numRuns: 300 },
  );
});

const SMALLEST = 1n;
const SMALLEST_NORMAL = 1n << 52n;
const HALF = 0x3fe0000000000000n;
const ONE = 0x3ff0000000000000n;

test('denormals: DE and UE as they are, zeros with DAZ and FTZ', () => {
  const multiply = (a: bigint, b: bigint, mxcsr: bigint): { result: bigint; mxcsr: bigint } =>
    execute(scalar(F64, 0x59), a, b, MXCSR.masked | mxcsr, 64);
  const flags = (mxcsr: bigint): bigint => mxcsr & 0x3fn;
  const asIs = multiply(SMALLEST, ONE, 0n);
  assert.deepEqual([asIs.result, flags(asIs.mxcsr)], [SMALLEST, FLAGS.DE]);
  const underflow = multiply(SMALLEST_NORMAL | 1n, HALF, 0n);
  assert.deepEqual([underflow.result, flags(underflow.mxcsr)], [1n << 51n, FLAGS.UE | FLAGS.PE]);
  const daz = multiply(SMALLEST, ONE, MXCSR.DAZ);
  assert.deepEqual([daz.result, flags(daz.mxcsr)], [0n, 0n]);
  const ftz = multiply(SMALLEST_NORMAL | (1n << 63n), HALF, MXCSR.FTZ);
  assert.deepEqual([ftz.result, flags(ftz.mxcsr)], [1n << 63n, FLAGS.UE | FLAGS.PE]);
});

const QUIET = 0x7ff8000000000001n;
const SIGNALING = 0x7ff0000000000002n;

test('NaNs: the first operand, quieted; MIN and MAX give the second; UCOMISD is quiet about quiet ones', () => {
  const add = execute(scalar(F64, 0x58), QUIET, SIGNALING, MXCSR.masked, 64);
  assert.deepEqual([add.result, add.mxcsr & 0x3fn], [QUIET, FLAGS.IE]);
  const other = execute(scalar(F64, 0x58), SIGNALING, QUIET, MXCSR.masked, 64);
  assert.equal(other.result, SIGNALING | (1n << 51n));
  for (const opcode of [0x5d, 0x5f]) {
    const extreme = execute(scalar(F64, opcode), ONE, SIGNALING, MXCSR.masked, 64);
    assert.deepEqual([extreme.result, extreme.mxcsr & 0x3fn], [SIGNALING, FLAGS.IE]);
  }
  const compare = (opcode: number, operand: bigint): bigint =>
    execute([0x66, 0x0f, opcode, MODRM_XMM0_XMM1], ONE, operand, MXCSR.masked, 64).mxcsr & 0x3fn;
  assert.deepEqual(
    [0x2e, 0x2f].map((opcode) => compare(opcode, QUIET)),
    [0n, FLAGS.IE],
  );
  assert.deepEqual(
    [0x2e, 0x2f].map((opcode) => compare(opcode, SIGNALING)),
    [FLAGS.IE, FLAGS.IE],
  );
});

test('an unmasked exception keeps the destination and raises #XM, or #UD without OSXMMEXCPT', () => {
  const DIVPD = [0x66, 0x0f, 0x5e, MODRM_XMM0_XMM1];
  const m = new InstructionRun();
  const before = (0x4008000000000000n << 64n) | ONE;
  m.set('XMM0', before);
  m.set('XMM1', ONE << 64n);
  m.set('MXCSR', MXCSR.masked & ~(FLAGS.ZE << 7n));
  assert.deepEqual(m.run(DIVPD), { vector: VECTOR.XM, errorCode: undefined });
  assert.equal(m.get('XMM0'), before);
  assert.equal(m.get('MXCSR') & 0x3fn, FLAGS.ZE);
  m.set('CR4', m.get('CR4') & ~CR4_BITS.OSXMMEXCPT);
  assert.equal(m.run(DIVPD)?.vector, VECTOR.UD);
});

test('LDMXCSR refuses reserved bits', () => {
  const m = new InstructionRun();
  m.set('RDI', 16n);
  m.memory.set([0x80, 0x1f, 1, 0], 16);
  assert.deepEqual(m.run([0x0f, 0xae, 0x17]), { vector: VECTOR.GP, errorCode: 0 });
  assert.equal(m.get('MXCSR'), MXCSR.masked);
  m.memory.set([0xc0, 0x9f, 0, 0], 16);
  assert.equal(m.run([0x0f, 0xae, 0x17]), undefined);
  assert.equal(m.get('MXCSR'), 0x9fc0n);
});

test('conversions to MMX registers enter MMX state', () => {
  const m = new InstructionRun();
  m.set('FTOP', 5n);
  m.set('XMM1', (0xc0200000n << 32n) | 0x40600000n);
  assert.equal(m.run([0x0f, 0x2c, 0xc1]), undefined);
  assert.deepEqual([m.get('FTOP'), m.get('FTW')], [0n, 0xffn]);
  assert.equal(m.get('R0.significand'), (0xfffffffen << 32n) | 3n);
  assert.equal(m.get('R0.exponent'), 0xffffn);
});

test('RCPSS and RSQRTSS stay within the relative error of 1.5 · 2^-12', () => {
  const value = (bits: bigint): number => {
    const { n, d } = fractionOf(bits, F32);
    return Number(n) / Number(d);
  };
  const normal = fc.bigInt({ min: 0x01000000n, max: 0x7e7fffffn });
  fc.assert(
    fc.property(normal, (bits) => {
      for (const [opcode, want] of [
        [0x53, 1 / value(bits)],
        [0x52, 1 / Math.sqrt(value(bits))],
      ]) {
        const { result, mxcsr } = execute(scalar(F32, opcode), 0n, bits, MXCSR.masked, 32);
        assert.ok(Math.abs(value(result) / want - 1) <= 1.5 * 2 ** -12);
        assert.equal(mxcsr, MXCSR.masked);
      }
    }),
    { numRuns: 150 },
  );
  const special = (opcode: number, bits: bigint): bigint =>
    execute(scalar(F32, opcode), 0n, bits, MXCSR.masked, 32).result;
  assert.deepEqual(
    [0x80000000n, 1n, 0x7f800000n, 0x7f800001n].map((v) => special(0x53, v)),
    [0xff800000n, 0x7f800000n, 0n, 0x7fc00001n],
  );
  assert.deepEqual(
    [0x80000001n, 0xbf800000n].map((v) => special(0x52, v)),
    [0xff800000n, 0xffc00000n],
  );
});

test('the sign of a difference that is zero follows the rounding, in every lane', () => {
  const negativeZeros = { 0: 0x80000000800000008000000080000000n, 102: 0x80000000000000008000000000000000n } as const;
  for (const [mode, rounding] of ['nearest', 'down', 'up', 'zero'].entries()) {
    for (const prefix of [0x00, 0x66] as const) {
      const m = new InstructionRun();
      m.set('MXCSR', MXCSR.masked | MXCSR.PE | (BigInt(mode) << 13n));
      const bytes = [0x0f, 0x5c, MODRM_XMM0_XMM1];
      assert.equal(m.run(prefix === 0 ? bytes : [prefix, ...bytes]), undefined);
      assert.equal(m.get('XMM0'), rounding === 'down' ? negativeZeros[prefix] : 0n, rounding);
    }
  }
});
