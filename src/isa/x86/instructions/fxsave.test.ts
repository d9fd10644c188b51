import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InstructionRun } from '../../../../test/support/instruction-run.ts';
import { CR0_BITS, CR4_BITS } from '../control-bits.ts';
import { VECTOR } from '../exceptions.ts';

const FXSAVE64_RDI = [0x48, 0x0f, 0xae, 0x07];
const FXSAVE_RDI = [0x0f, 0xae, 0x07];
const FXRSTOR64_RDI = [0x48, 0x0f, 0xae, 0x0f];
const FXRSTOR_RDI = [0x0f, 0xae, 0x0f];
const XSAVE_RDI = [0x0f, 0xae, 0x27];
const XRSTOR_RDI = [0x0f, 0xae, 0x2f];
const XGETBV = [0x0f, 0x01, 0xd0];
const XSETBV = [0x0f, 0x01, 0xd1];
const AREA = 64;
const GP = { vector: VECTOR.GP, errorCode: 0 };

/** An area that FXSAVE64 may have written: no reserved bits. */
const image = fc.uint8Array({ minLength: 512, maxLength: 512 }).map((bytes) => {
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x37f, true);
  view.setUint16(2, view.getUint16(2, true) & 0x7f7f, true);
  view.setUint16(4, bytes[4], true);
  view.setUint16(6, view.getUint16(6, true) & 0x7ff, true);
  view.setUint32(24, view.getUint16(24, true), true);
  view.setUint32(28, 0xffff, true);
  for (let i = 0; i < 8; i++) bytes.fill(0, 42 + 16 * i, 48 + 16 * i);
  bytes.fill(0, 416);
  return bytes;
});

function machine(mode: 32 | 64 = 64): InstructionRun {
  const m = new InstructionRun(4096, mode);
  m.set('RDI', BigInt(AREA));
  return m;
}

test('FXSAVE64 writes what FXRSTOR64 has read', () => {
  fc.assert(
    fc.property(image, (bytes) => {
      const m = machine();
      m.memory.set(bytes, AREA);
      assert.equal(m.run(FXRSTOR64_RDI), undefined);
      m.memory.fill(0);
      assert.equal(m.run(FXSAVE64_RDI), undefined);
      assert.deepEqual(m.memory.slice(AREA, AREA + 512), bytes);
    }),
    { numRuns: 30 },
  );
});

test('the 32-bit format has 32-bit pointers with selectors', () => {
  const m = machine();
  m.set('FIP', 0x1122334455667788n);
  m.set('FCS', 0x99aan);
  assert.equal(m.run(FXSAVE_RDI), undefined);
  assert.deepEqual([...m.memory.slice(AREA + 8, AREA + 16)], [0x88, 0x77, 0x66, 0x55, 0xaa, 0x99, 0, 0]);
});

test('outside 64-bit mode XMM8 to XMM15 are neither saved nor restored', () => {
  const m = machine(32);
  m.set('XMM7', 7n);
  m.set('XMM8', 8n);
  m.memory.fill(0xcc, 0, 1024);
  assert.equal(m.run(FXSAVE_RDI), undefined);
  assert.equal(m.memory[AREA + 160 + 7 * 16], 7);
  assert.equal(m.memory[AREA + 160 + 8 * 16], 0xcc);
  m.memory.fill(0xff, AREA + 160, AREA + 416);
  assert.equal(m.run(FXRSTOR_RDI), undefined);
  assert.equal(m.get('XMM7'), 2n ** 128n - 1n);
  assert.equal(m.get('XMM8'), 8n);
});

test('a misaligned area and reserved bits of MXCSR give #GP(0) and change nothing', () => {
  const m = machine();
  m.set('RDI', 72n);
  assert.deepEqual(m.run(FXSAVE64_RDI), GP);
  assert.deepEqual(m.run(FXRSTOR64_RDI), GP);
  m.set('RDI', BigInt(AREA));
  m.memory[AREA + 26] = 1;
  const before = m.registers();
  assert.deepEqual(m.run(FXRSTOR64_RDI), GP);
  assert.deepEqual(m.registers(), before);
});

test('FXSAVE raises #NM with CR0.TS and #UD with CR0.EM', () => {
  const m = machine();
  m.set('CR0', m.get('CR0') | CR0_BITS.TS);
  assert.equal(m.run(FXSAVE_RDI)?.vector, VECTOR.NM);
  m.set('CR0', m.get('CR0') | CR0_BITS.EM);
  assert.equal(m.run(FXSAVE_RDI)?.vector, VECTOR.UD);
});

test('XSAVE writes the components that are asked for and keeps the other bits of XSTATE_BV', () => {
  const m = machine();
  m.set('XMM0', 0x1234n);
  m.set('RAX', 2n);
  m.memory.fill(0xcc, AREA, AREA + 512);
  m.memory[AREA + 512] = 5;
  assert.equal(m.run(XSAVE_RDI), undefined);
  assert.equal(m.memory[AREA + 512], 7);
  assert.equal(m.memory[AREA], 0xcc);
  assert.deepEqual([...m.memory.slice(AREA + 24, AREA + 32)], [0x80, 0x1f, 0, 0, 0xff, 0xff, 0, 0]);
  assert.deepEqual([...m.memory.slice(AREA + 160, AREA + 163)], [0x34, 0x12, 0]);
});

test('XRSTOR initializes components that the area does not have', () => {
  const m = machine();
  m.set('RAX', 3n);
  m.set('XMM3', 3n);
  m.set('FTOP', 5n);
  m.set('FTW', 0xffn);
  m.set('FCW', 0x40n);
  m.set('R2.significand', 9n);
  m.memory.set([0x80, 0x1f], AREA + 24);
  assert.equal(m.run(XRSTOR_RDI), undefined);
  assert.deepEqual(
    ['XMM3', 'FTOP', 'FTW', 'FCW', 'R2.significand'].map((name) => m.get(name)),
    [0n, 0n, 0n, 0x37fn, 0n],
  );
});

test('XRSTOR leaves components alone that are not asked for', () => {
  const m = machine();
  m.set('RAX', 1n);
  m.set('XMM3', 3n);
  m.memory.fill(0xff, AREA + 160, AREA + 416);
  m.memory[AREA + 512] = 2;
  assert.equal(m.run(XRSTOR_RDI), undefined);
  assert.equal(m.get('XMM3'), 3n);
});

test('XRSTOR refuses unknown components and a header that is not of the standard form', () => {
  for (const at of [512, 520, 527, 528, 535]) {
    const m = machine();
    m.memory[AREA + at] = 4;
    assert.deepEqual(m.run(XRSTOR_RDI), GP, `byte ${at}`);
  }
});

test('the XSAVE group needs CR4.OSXSAVE and an area at a multiple of 64', () => {
  const m = machine();
  m.set('RDI', 80n);
  assert.deepEqual(m.run(XSAVE_RDI), GP);
  assert.deepEqual(m.run(XRSTOR_RDI), GP);
  m.set('CR4', CR4_BITS.OSFXSR);
  for (const bytes of [XSAVE_RDI, XRSTOR_RDI, XGETBV, XSETBV]) assert.equal(m.run(bytes)?.vector, VECTOR.UD);
});

test('XSETBV takes x87 with or without SSE, XGETBV returns it', () => {
  const m = machine();
  for (const [value, ok] of [
    [1n, true],
    [3n, true],
    [0n, false],
    [2n, false],
    [7n, false],
  ] as const) {
    m.set('RAX', value);
    assert.deepEqual(m.run(XSETBV), ok ? undefined : GP, `XCR0 = ${value}`);
  }
  m.set('RAX', 0n);
  m.set('RDX', ~0n);
  assert.equal(m.run(XGETBV), undefined);
  assert.deepEqual([m.get('RAX'), m.get('RDX')], [3n, 0n]);
  m.set('RCX', 1n);
  assert.deepEqual(m.run(XGETBV), GP);
  m.set('RCX', 0n);
  m.set('CPL', 3n);
  m.set('RAX', 1n);
  assert.deepEqual(m.run(XSETBV), GP);
});
