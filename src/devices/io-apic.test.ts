import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SteppedClock } from '../../test/support/stepped-clock.ts';
import { IoApic } from './io-apic.ts';
import { LocalApic } from './local-apic.ts';

function setUp() {
  const sent: [number, number][] = [];
  const ioApic = new IoApic(2, { message: (address, data) => sent.push([address, data]) });
  const get = (register: number) => {
    ioApic.write(0, 4, register);
    return ioApic.read(0x10, 4);
  };
  const put = (register: number, value: number) => {
    ioApic.write(0, 4, register);
    ioApic.write(0x10, 4, value);
  };
  const entry = (pin: number, low: number, destination = 0) => {
    put(0x11 + 2 * pin, destination << 24);
    put(0x10 + 2 * pin, low);
  };
  return { ioApic, sent, get, put, entry };
}

describe('IoApic', () => {
  it('identifies itself and starts masked', () => {
    const { ioApic, get, put } = setUp();
    assert.equal(get(0), 0x02000000);
    assert.equal(get(1), 0x00170020);
    assert.equal(get(0x10), 0x10000);
    assert.equal(get(0x3e), 0x10000);
    assert.equal(get(0x40), 0xffffffff);
    put(0, 0x0f000000);
    assert.equal(get(2), 0x0f000000);
    assert.equal(ioApic.read(0, 1), 2);
    assert.equal(ioApic.read(0x13, 1), 0x0f);
    assert.throws(() => ioApic.line(24), RangeError);
  });

  it('sends an edge once, by its entry', () => {
    const { ioApic, sent, entry } = setUp();
    entry(4, 0x0931, 0x81); // lowest priority, logical
    ioApic.line(4).set(true);
    ioApic.line(4).set(true);
    assert.deepEqual(sent, [[0xfee81004, 0x4131]]);
    ioApic.line(4).set(false);
    ioApic.line(4).set(true);
    assert.equal(sent.length, 2);
  });

  it('loses edges on masked inputs', () => {
    const { ioApic, sent, entry } = setUp();
    entry(4, 0x10031);
    ioApic.line(4).set(true);
    entry(4, 0x31);
    assert.equal(sent.length, 0);
  });

  it('sends a level again after each EOI while it lasts', () => {
    const { ioApic, sent, get, entry } = setUp();
    entry(9, 0x8041);
    ioApic.line(9).set(true);
    assert.deepEqual(sent, [[0xfee00000, 0xc041]]);
    assert.equal(get(0x22), 0xc041);
    ioApic.line(9).set(false);
    ioApic.line(9).set(true);
    assert.equal(sent.length, 1, 'remote IRR holds it');
    ioApic.endOfInterrupt(0x42);
    assert.equal(sent.length, 1);
    ioApic.endOfInterrupt(0x41);
    assert.equal(sent.length, 2);
    ioApic.line(9).set(false);
    ioApic.write(0x40, 4, 0x41);
    assert.equal(sent.length, 2);
    assert.equal(get(0x22), 0x8041);
  });

  it('sends a waiting level when it is unmasked, and clears remote IRR when made an edge', () => {
    const { ioApic, sent, get, entry } = setUp();
    entry(10, 0x18050);
    ioApic.line(10).set(true);
    assert.equal(sent.length, 0);
    entry(10, 0x8050);
    assert.equal(sent.length, 1);
    entry(10, 0x10050);
    assert.equal(get(0x24), 0x10050);
    entry(10, 0x8050);
    assert.equal(sent.length, 2);
  });

  it('needs no EOI for NMI and ExtINT', () => {
    const { ioApic, sent, get, entry } = setUp();
    entry(0, 0x8700);
    ioApic.line(0).set(true);
    assert.deepEqual(sent, [[0xfee00000, 0xc700]]);
    assert.equal(get(0x10), 0x8700);
  });

  it('works with a local APIC from wire to EOI', () => {
    const apic = new LocalApic({
      id: 0,
      clock: new SteppedClock(),
      tscFrequency: 1e9,
      changed: () => {},
      acknowledgeExternal: () => 0,
      endOfInterrupt: (vector) => ioApic.endOfInterrupt(vector),
    });
    const ioApic: IoApic = new IoApic(0, apic);
    apic.write(0xf0, 4, 0x1ff);
    ioApic.write(0, 4, 0x10 + 2 * 11);
    ioApic.write(0x10, 4, 0x8061);
    ioApic.line(11).set(true);
    for (let i = 0; i < 3; i++) {
      assert.equal(apic.acknowledge(), 0x61);
      assert.equal(apic.pending(), false);
      apic.write(0xb0, 4, 0);
    }
    assert.equal(apic.acknowledge(), 0x61);
    ioApic.line(11).set(false);
    apic.write(0xb0, 4, 0);
    assert.equal(apic.pending(), false);
  });

  it('survives any sequence of accesses and wires', () => {
    const step = fc.tuple(fc.nat(3), fc.nat(0x50), fc.constantFrom<1 | 2 | 4>(1, 2, 4), fc.nat(0xffffffff));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const { ioApic, get } = setUp();
        for (const [kind, offset, width, value] of steps) {
          if (kind === 0) {
            const read = ioApic.read(offset, width);
            assert.ok(read >= 0 && read < 2 ** (8 * width));
          } else if (kind === 1) ioApic.write(offset, width, value);
          else if (kind === 2) ioApic.line(offset % 24).set((value & 1) !== 0);
          else ioApic.endOfInterrupt(value & 0xff);
        }
        ioApic.reset();
        assert.equal(get(0x10 + (steps.length % 24) * 2), 0x10000);
      }),
    );
  });
});
