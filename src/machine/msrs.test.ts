import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PlatformMsrs } from './msrs.ts';

const IA32_MTRRCAP = 0xfe;
const IA32_MTRR_PHYSMASK0 = 0x201;
const IA32_MTRR_DEF_TYPE = 0x2ff;

const apic = { read: (index: number) => (index === 0x1b ? 5n : undefined), write: (index: number) => index === 0x1b };

test('MTRRs start write-back, keep what is written, and refuse reserved types', () => {
  const msrs = new PlatformMsrs(apic);
  assert.equal(msrs.read(IA32_MTRRCAP), 0x508n);
  assert.equal(msrs.read(IA32_MTRR_DEF_TYPE), 0xc06n);
  assert.ok(msrs.write(IA32_MTRR_PHYSMASK0, 0x800n));
  assert.equal(msrs.read(IA32_MTRR_PHYSMASK0), 0x800n);
  assert.ok(!msrs.write(IA32_MTRR_DEF_TYPE, 0xc02n));
  assert.ok(!msrs.write(IA32_MTRR_DEF_TYPE, 0x1_0006n));
  msrs.reset();
  assert.equal(msrs.read(IA32_MTRR_PHYSMASK0), 0n);
});

test('read-only and unknown registers fault; the rest goes to the APIC', () => {
  const msrs = new PlatformMsrs(apic);
  for (const index of [IA32_MTRRCAP, 0x3a, 0x17, 0x1234]) assert.ok(!msrs.write(index, 0n));
  assert.equal(msrs.read(0x1234), undefined);
  assert.equal(msrs.read(0x1b), 5n);
  assert.ok(msrs.write(0x1b, 1n));
});
