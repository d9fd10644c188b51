import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InstructionRun } from '../../../../test/support/instruction-run.ts';
import { CR0_BITS, CR4_BITS } from '../control-bits.ts';
import { VECTOR } from '../exceptions.ts';
import { ARITHMETIC_FLAGS, RFLAGS } from '../flags.ts';

const MOVAPS_XMM1_RDI = [0x0f, 0x28, 0x0f];
const MOVUPS_XMM1_RDI = [0x0f, 0x10, 0x0f];
const MOVAPS_RDI_XMM1 = [0x0f, 0x29, 0x0f];
const PADDD_XMM1_RDI = [0x66, 0x0f, 0xfe, 0x0f];
const MOVNTI_RDI_EAX = [0x0f, 0xc3, 0x07];
const MASKMOVDQU_XMM1_XMM2 = [0x66, 0x0f, 0xf7, 0xca];

test('16 bytes of memory must be aligned, but not for the instructions that say so', () => {
  const m = new InstructionRun();
  m.memory.fill(0x5a);
  m.set('RDI', 24n);
  const before = m.registers();
  for (const bytes of [MOVAPS_XMM1_RDI, MOVAPS_RDI_XMM1, PADDD_XMM1_RDI]) {
    assert.deepEqual(m.run(bytes), { vector: VECTOR.GP, errorCode: 0 });
  }
  assert.deepEqual(m.registers(), before);
  assert.ok(m.memory.every((b) => b === 0x5a));
  assert.equal(m.run(MOVUPS_XMM1_RDI), undefined);
  assert.equal(m.get('XMM1'), BigInt(`0x${'5a'.repeat(16)}`));
});

test('SSE needs CR4.OSFXSR and CR0.TS clear; MOVNTI does not', () => {
  const m = new InstructionRun();
  m.set('CR0', m.get('CR0') | CR0_BITS.TS);
  assert.equal(m.run(MOVUPS_XMM1_RDI)?.vector, VECTOR.NM);
  m.set('CR4', m.get('CR4') & ~CR4_BITS.OSFXSR);
  assert.equal(m.run(MOVUPS_XMM1_RDI)?.vector, VECTOR.UD);
  assert.equal(m.run(MOVNTI_RDI_EAX), undefined);
});

test('MASKMOVDQU writes the selected bytes alone', () => {
  const m = new InstructionRun();
  m.set('RDI', 3n);
  m.set('XMM1', 0x100f0e0d0c0b0a090807060504030201n);
  m.set('XMM2', 0x80000000000000000000000000807f80n);
  m.memory.fill(0xcc);
  assert.equal(m.run(MASKMOVDQU_XMM1_XMM2), undefined);
  assert.deepEqual(
    [...m.memory.slice(2, 21)],
    [0xcc, 1, 0xcc, 3, ...Array(12).fill(0xcc), 0x10, 0xcc, 0xcc].slice(0, 19),
  );
});

test('CRC32 has the check value of CRC-32C', () => {
  const m = new InstructionRun();
  m.set('RAX', 0xffffffffn);
  for (const byte of new TextEncoder().encode('123456789')) {
    m.set('RBX', BigInt(byte));
    assert.equal(m.run([0xf2, 0x0f, 0x38, 0xf0, 0xc3]), undefined);
  }
  assert.equal(m.get('RAX') ^ 0xffffffffn, 0xe3069283n);
});

// --- string comparison, against the pseudo-code of SDM vol. 2 §4.1 ----------------------------------------------------------------

interface Strings {
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly lengthA: number;
  readonly lengthB: number;
}

const overrideInvalid = (mode: number, aValid: boolean, bValid: boolean, equal: boolean): boolean => {
  if (aValid && bValid) return equal;
  if (mode === 2) return !aValid && !bValid;
  return mode === 3 && !aValid;
};

function intRes1(mode: number, { a, b, lengthA, lengthB }: Strings): number {
  const relation = (i: number, j: number): boolean => {
    const ranges = i % 2 === 0 ? a[i] <= b[j] : a[i] >= b[j];
    return overrideInvalid(mode, i < lengthA, j < lengthB, mode === 1 ? ranges : a[i] === b[j]);
  };
  const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
  const element = (j: number): boolean => {
    switch (mode) {
      case 0:
        return upTo(a.length).some((i) => relation(i, j));
      case 1:
        return upTo(a.length / 2).some((i) => relation(2 * i, j) && relation(2 * i + 1, j));
      case 2:
        return relation(j, j);
      default:
        return upTo(a.length - j).every((i) => relation(i, j + i));
    }
  };
  return b.reduce((bits, _, j) => bits | (element(j) ? 1 << j : 0), 0);
}

const xmm = fc
  .array(fc.oneof(fc.nat({ max: 3 }), fc.constantFrom(0x7f, 0x80, 0xff)), { minLength: 16, maxLength: 16 })
  .map((bytes) => bytes.reduceRight((v, b) => (v << 8n) | BigInt(b), 0n));

function elements(v: bigint, control: number): number[] {
  const width = control & 1 ? 16 : 8;
  const as = control & 2 ? BigInt.asIntN : BigInt.asUintN;
  return Array.from({ length: 128 / width }, (_, i) => Number(as(width, v >> BigInt(i * width))));
}
const implicitLength = (all: readonly number[]): number => {
  const end = all.indexOf(0);
  return end < 0 ? all.length : end;
};

test('PCMPISTRI computes what the manual describes', () => {
  fc.assert(
    fc.property(xmm, xmm, fc.nat({ max: 127 }), (first, second, control) => {
      const m = new InstructionRun();
      m.set('XMM1', first);
      m.set('XMM2', second);
      assert.equal(m.run([0x66, 0x0f, 0x3a, 0x63, 0xca, control]), undefined);
      const [a, b] = [elements(first, control), elements(second, control)];
      const strings = { a, b, lengthA: implicitLength(a), lengthB: implicitLength(b) };
      const inverted = !(control & 16) ? 0 : control & 32 ? (1 << strings.lengthB) - 1 : (1 << b.length) - 1;
      const result = intRes1((control >> 2) & 3, strings) ^ inverted;
      const index = control & 64 ? 31 - Math.clz32(result) : 31 - Math.clz32(result & -result);
      assert.equal(m.get('RCX'), BigInt(result === 0 ? b.length : index));
      const flags =
        (result !== 0 ? RFLAGS.CF : 0) |
        (strings.lengthB < b.length ? RFLAGS.ZF : 0) |
        (strings.lengthA < a.length ? RFLAGS.SF : 0) |
        (result & 1 ? RFLAGS.OF : 0);
      assert.equal(m.rflags() & ARITHMETIC_FLAGS, flags);
    }),
    { numRuns: 500 },
  );
});
