import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BASE, ID, setUp, x2 } from '../../test/support/local-apic.ts';

describe('LocalApic in x2APIC mode', () => {
  it('is entered from xAPIC mode only and left by disabling only', () => {
    const { apic, get } = setUp();
    const { msrs } = apic;
    assert.equal(msrs.read(0x802), undefined);
    assert.equal(msrs.write(BASE, 0xfee00400n), false);
    assert.equal(msrs.write(BASE, 0xfee00d00n), true);
    assert.equal(get(ID), 0xffffffff, 'the page is gone');
    assert.equal(msrs.write(BASE, 0xfee00900n), false);
    assert.equal(msrs.write(BASE, 0xfee00100n), true);
    assert.equal(msrs.write(BASE, 0xfee00d00n), false);
    assert.equal(msrs.write(BASE, 0xfee00900n), true);
    assert.equal(msrs.write(BASE, 0xfee00901n), false, 'reserved');
  });

  it('shows its registers as MSRs and guards them', () => {
    const { msrs } = x2(0x25).apic;
    assert.equal(msrs.read(0x802), 0x25n);
    assert.equal(msrs.read(0x80d), 0x20020n);
    assert.equal(msrs.read(0x803), 0x50014n);
    for (const index of [0x80b, 0x80e, 0x831, 0x83f, 0x809, 0x8ff]) assert.equal(msrs.read(index), undefined);
    for (const index of [0x802, 0x803, 0x80a, 0x80d, 0x80e, 0x810, 0x831, 0x839, 0x8ff]) {
      assert.equal(msrs.write(index, 0n), false, index.toString(16));
    }
    assert.equal(msrs.write(0x808, 0x100n), false);
    assert.equal(msrs.write(0x808, 0x1_0000_0000n), false);
    assert.equal(msrs.write(0x808, 0x35n), true);
    assert.equal(msrs.read(0x808), 0x35n);
    assert.equal(msrs.write(0x80b, 1n), false);
    assert.equal(msrs.write(0x828, 1n), false);
    assert.equal(msrs.write(0x832, 0x1_0000n), true);
    assert.equal(msrs.write(0x832, 0x8_0000n), false);
  });

  it('sends by one 64-bit command with 32-bit destinations', () => {
    const { apic } = x2(0x25);
    const arrives = (command: bigint) => {
      assert.equal(apic.msrs.write(0x830, command), true);
      const vector = apic.acknowledge();
      if (vector >= 0) assert.equal(apic.msrs.write(0x80b, 0n), true);
      return vector;
    };
    assert.equal(arrives((0x25n << 32n) | 0x71n), 0x71);
    assert.equal(arrives((0xffn << 32n) | 0x71n), -1, '0xFF is no broadcast here');
    assert.equal(arrives((0xffffffffn << 32n) | 0x72n), 0x72);
    assert.equal(arrives((0x20020n << 32n) | 0x873n), 0x73, 'logical cluster');
    assert.equal(arrives((0x20010n << 32n) | 0x873n), -1);
    assert.equal(apic.msrs.read(0x830), (0x20010n << 32n) | 0x873n);
    assert.equal(apic.msrs.write(0x83f, 0x74n), true);
    assert.equal(apic.acknowledge(), 0x74);
    assert.equal(apic.msrs.write(0x830, 0x1000n), false, 'reserved');
  });
});
