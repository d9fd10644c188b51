import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InstructionRun } from '../../../../test/support/instruction-run.ts';
import { X87_FACTS, X87_FUNCTIONS } from '../../../../test/support/x87-facts.ts';
import { CR0_BITS } from '../control-bits.ts';
import { VECTOR } from '../exceptions.ts';
import { IP_BASE } from '../state.ts';

const TEN_BYTES = 10;
const RSI = 0x100;

const bytesOf = (hex: string): number[] => [...Buffer.from(hex, 'hex')];
const number = (hex: string): bigint => BigInt(`0x${hex}`);
const hex = (v: bigint, digits: number): string => v.toString(16).padStart(digits, '0');

function setRegister(m: InstructionRun, i: number, value: string): void {
  m.set(`R${i}.exponent`, number(value.slice(0, 4)));
  m.set(`R${i}.significand`, number(value.slice(4)));
}
function stack(m: InstructionRun, i: number): string {
  const r = (Number(m.get('FTOP')) + i) & 7;
  return hex(m.get(`R${r}.exponent`), 4) + hex(m.get(`R${r}.significand`), 16);
}
const status = (m: InstructionRun): bigint => m.get('FSW') | (m.get('FTOP') << 11n);
const memory = (m: InstructionRun): string =>
  hex(
    number(
      [...m.memory.slice(RSI, RSI + TEN_BYTES)]
        .reverse()
        .map((v) => hex(BigInt(v), 2))
        .join(''),
    ),
    1,
  );

function prepare(fcw: string, ftw: string, st0: string, st1: string): InstructionRun {
  const m = new InstructionRun();
  m.set('RSI', BigInt(RSI));
  m.set('FCW', number(fcw));
  m.set('FTW', number(ftw));
  setRegister(m, 0, st0);
  setRegister(m, 1, st1);
  // What is loaded to find the opcode of an instruction with an unmasked exception.
  m.setState(IP_BASE, 0x800n);
  return m;
}

test('x87 instructions do what a processor does', () => {
  for (const line of X87_FACTS) {
    const [before, after] = line.split(' = ');
    const [bytes, fcw, ftw, st0, st1, operand] = before.split(/\s+/).slice(-6);
    const m = prepare(fcw, ftw, st0, st1);
    m.memory.set(bytesOf(operand.padStart(2 * TEN_BYTES, '0')).reverse(), RSI);
    m.memory.set(bytesOf(bytes), 0x800);
    assert.equal(m.run(bytesOf(bytes)), undefined, line);
    const [wantFsw, wantFtw, wantSt0, wantSt1, wantMemory] = after.split(' ');
    assert.equal(
      [hex(status(m), 1), hex(m.get('FTW'), 1), stack(m, 0), stack(m, 1), memory(m)].join(' '),
      [wantFsw, wantFtw, wantSt0, wantSt1, wantMemory].join(' '),
      line,
    );
  }
});

test('transcendental functions are within one unit in the last place', () => {
  for (const line of X87_FUNCTIONS) {
    const [name, bytes, st0, st1, , want] = line.split(/\s+/);
    const m = prepare('37f', '3', st0, st1);
    assert.equal(m.run(bytesOf(bytes)), undefined);
    const got = stack(m, name === 'FPTAN' ? 1 : 0);
    const distance = number(got) - number(want);
    assert.ok(distance >= -1n && distance <= 1n, `${line}: ${got}`);
    assert.equal(m.get('FSW') & 0x3fn, 0x20n, line);
  }
});

test('FSINCOS pushes the cosine; arguments from 2^63 on set C2 and change nothing', () => {
  const m = prepare('37f', '1', '3fff8000000000000000', '0'.repeat(20));
  assert.equal(m.run([0xd9, 0xfb]), undefined);
  assert.equal(m.get('FTOP'), 7n);
  assert.deepEqual([stack(m, 0), stack(m, 1)], ['3ffe8a51407da8345c92', '3ffed76aa47848677021']);
  const large = prepare('37f', '1', '403e8000000000000000', '0'.repeat(20));
  assert.equal(large.run([0xd9, 0xfe]), undefined);
  assert.equal(status(large), 0x400n);
  assert.equal(stack(large, 0), '403e8000000000000000');
});

const FDIV_ST0_ST1 = [0xd8, 0xf1];
const ONE = '3fff8000000000000000';
const ZERO = '0'.repeat(20);

test('an unmasked exception waits for the next waiting instruction, with pointers to its cause', () => {
  const m = prepare('37b', '3', ONE, ZERO);
  m.setState(IP_BASE, 0x400n);
  m.memory.set([0x66, ...FDIV_ST0_ST1], 0x400);
  assert.equal(m.run(FDIV_ST0_ST1), undefined);
  assert.equal(m.get('FSW'), 0x8084n);
  assert.equal(stack(m, 0), ONE);
  assert.deepEqual([m.get('FIP'), m.get('FOP')], [0x400n, 0x0f1n]);
  for (const waiting of [FDIV_ST0_ST1, [0x9b], [0xd9, 0xe8], [0xd9, 0x2e], [0xd9, 0xd0], [0x0f, 0x77]]) {
    assert.deepEqual(m.run(waiting), { vector: VECTOR.MF, errorCode: undefined });
  }
  // FNSTSW AX, FNSTCW, FNCLEX do not wait.
  assert.equal(m.run([0xdf, 0xe0]), undefined);
  assert.equal(m.get('RAX') & 0xffffn, 0x8084n);
  assert.equal(m.run([0xd9, 0x3e]), undefined);
  assert.equal(m.run([0xdb, 0xe2]), undefined);
  assert.equal(m.get('FSW'), 0n);
  assert.equal(m.run([0x9b]), undefined);
});

test('FLDCW that unmasks a past exception makes it pending; FNSTENV masks all', () => {
  const m = prepare('37f', '3', ONE, ZERO);
  assert.equal(m.run(FDIV_ST0_ST1), undefined);
  assert.equal(m.get('FSW'), 4n);
  m.memory.set([0x7b, 0x03], RSI);
  assert.equal(m.run([0xd9, 0x2e]), undefined);
  assert.equal(m.get('FSW'), 0x8084n);
  assert.equal(m.run([0xd9, 0x36]), undefined);
  assert.equal(m.get('FCW'), 0x37fn);
  assert.equal(m.get('FSW'), 4n);
});

test('x87 instructions need CR0.TS and CR0.EM clear, FWAIT looks at MP and TS', () => {
  const m = prepare('37f', '3', ONE, ZERO);
  const cr0 = m.get('CR0');
  m.set('CR0', cr0 | CR0_BITS.TS);
  assert.equal(m.run(FDIV_ST0_ST1)?.vector, VECTOR.NM);
  assert.equal(m.run([0x9b]), undefined);
  m.set('CR0', cr0 | CR0_BITS.TS | CR0_BITS.MP);
  assert.equal(m.run([0x9b])?.vector, VECTOR.NM);
  m.set('CR0', cr0 | CR0_BITS.EM);
  assert.equal(m.run([0xdb, 0xe3])?.vector, VECTOR.NM);
});

test('FNSAVE and FRSTOR keep registers, tags and words, in both formats', () => {
  const word = fc.bigInt({ min: 0n, max: 0xffffn });
  const quad = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(word, quad), { minLength: 8, maxLength: 8 }),
      fc.record({ fsw: word, top: fc.bigInt({ min: 0n, max: 7n }), ftw: fc.bigInt({ min: 0n, max: 255n }) }),
      fc.boolean(),
      (registers, { fsw, top, ftw }, wide) => {
        const m = new InstructionRun();
        m.set('RSI', BigInt(RSI));
        for (const [i, [exponent, significand]] of registers.entries()) {
          m.set(`R${i}.exponent`, exponent);
          m.set(`R${i}.significand`, significand);
        }
        m.set('FSW', fsw & 0x477fn);
        m.set('FTOP', top);
        m.set('FTW', ftw);
        const before = m.registers();
        const prefix = wide ? [] : [0x66];
        assert.equal(m.run([...prefix, 0xdd, 0x36]), undefined);
        assert.deepEqual([m.get('FCW'), m.get('FSW'), m.get('FTOP'), m.get('FTW')], [0x37fn, 0n, 0n, 0n]);
        assert.equal(m.run([...prefix, 0xdd, 0x26]), undefined);
        assert.deepEqual(m.registers(), before);
      },
    ),
    { numRuns: 40 },
  );
});

test('integers and packed decimals that fit come back as they were stored', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 18n) + 1n, max: 10n ** 18n - 1n }), (value) => {
      const m = new InstructionRun();
      m.set('RSI', BigInt(RSI));
      const view = new DataView(m.memory.buffer);
      view.setBigInt64(RSI, value, true);
      assert.equal(m.run([0xdf, 0x2e]), undefined);
      assert.equal(m.run([0xdf, 0x36]), undefined);
      const digits = [...m.memory.slice(RSI, RSI + 9)].reverse().map((v) => hex(BigInt(v), 2));
      const sign = m.memory[RSI + 9] === 0 ? 1n : -1n;
      assert.equal(sign * BigInt(digits.join('')), value);
      assert.equal(m.run([0xdf, 0x26]), undefined);
      assert.equal(m.run([0xdf, 0x3e]), undefined);
      assert.equal(view.getBigInt64(RSI, true), value);
      assert.equal(m.get('FSW'), 0n);
    }),
    { numRuns: 60 },
  );
});
