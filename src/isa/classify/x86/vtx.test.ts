import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UserError } from '../../../user-error.ts';
import { check, mnemonics } from '../theorems.ts';
import { x86Architecture } from './architectures.ts';
import { classifyNonRoot, parseControls } from './vtx.ts';

const architecture = x86Architecture('x86-64')!;
const offenders = (controls: string): readonly string[] =>
  mnemonics(check('root', classifyNonRoot(architecture, parseControls(controls))).offenders);

test('non-root mode with the usual controls satisfies the restatement', () => {
  assert.deepEqual(offenders('usual'), []);
});

test('without EPT the moves of CR3 and invalidations must exit', () => {
  assert.deepEqual(offenders('usual,-ept'), ['MOV', 'INVLPG', 'INVPCID']);
  assert.deepEqual(offenders('usual,-ept,cr3-load,cr3-store'), ['INVLPG', 'INVPCID']);
  assert.deepEqual(offenders('usual,-ept,cr3-load,cr3-store,invlpg'), []);
});

test('each control that is taken out names the instructions it is for', () => {
  assert.deepEqual(offenders('usual,-hlt'), ['HLT']);
  assert.deepEqual(offenders('usual,-io').toSorted(), ['IN', 'INS', 'OUT', 'OUTS']);
  assert.deepEqual(offenders('usual,-io,io-bitmaps'), []);
  assert.deepEqual(offenders('usual,msr-bitmaps'), ['RDMSR', 'WRMSR']);
  assert.deepEqual(offenders('usual,-cr8-load,-cr8-store'), ['MOV']);
  assert.deepEqual(offenders('usual,-cr8-load,-cr8-store,tpr-shadow'), []);
  const interrupts = offenders('usual,-external-interrupt');
  for (const name of ['CLI', 'STI', 'POPF', 'IRET']) assert.equal(interrupts.includes(name), true, name);
});

test('a control that does not exist is an error that lists them', () => {
  assert.throws(
    () => parseControls('usual,epd'),
    (e: Error) => e instanceof UserError && /'epd'.*ept/.test(e.message),
  );
});
