import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InstructionRun } from '../../../../test/support/instruction-run.ts';
import { CR0_BITS } from '../control-bits.ts';
import { VECTOR } from '../exceptions.ts';

const PADDB_MM1_MM2 = [0x0f, 0xfc, 0xca];
const MOVQ_RDI_MM1 = [0x0f, 0x7f, 0x0f];
const EMMS = [0x0f, 0x77];

test('an MMX instruction empties no register and sets TOP to 0; its result is a NaN to the x87', () => {
  const m = new InstructionRun();
  m.set('FTOP', 5n);
  m.set('R1.significand', 0x01ff_0102_0304_0506n);
  m.set('R2.significand', 0x0101_0101_0101_0101n);
  assert.equal(m.run(PADDB_MM1_MM2), undefined);
  assert.deepEqual(
    ['FTOP', 'FTW', 'R1.significand', 'R1.exponent', 'R2.exponent'].map((name) => m.get(name)),
    [0n, 0xffn, 0x0200_0203_0405_0607n, 0xffffn, 0n],
  );
});

test('reading an MMX register leaves its exponent alone; EMMS empties all', () => {
  const m = new InstructionRun();
  m.set('FTOP', 3n);
  m.set('R1.significand', 0x1122334455667788n);
  assert.equal(m.run(MOVQ_RDI_MM1), undefined);
  assert.deepEqual([...m.memory.slice(0, 3)], [0x88, 0x77, 0x66]);
  assert.deepEqual([m.get('FTOP'), m.get('FTW'), m.get('R1.exponent')], [0n, 0xffn, 0n]);
  assert.equal(m.run(EMMS), undefined);
  assert.deepEqual([m.get('FTOP'), m.get('FTW')], [0n, 0n]);
});

test('MMX instructions raise #UD, #NM and #MF in that order', () => {
  const m = new InstructionRun();
  m.set('FSW', 0x8081n);
  assert.equal(m.run(PADDB_MM1_MM2)?.vector, VECTOR.MF);
  assert.equal(m.run(EMMS)?.vector, VECTOR.MF);
  m.set('CR0', m.get('CR0') | CR0_BITS.TS);
  assert.equal(m.run(PADDB_MM1_MM2)?.vector, VECTOR.NM);
  m.set('CR0', m.get('CR0') | CR0_BITS.EM);
  assert.equal(m.run(PADDB_MM1_MM2)?.vector, VECTOR.UD);
});
