import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Probe } from '../../test/support/wires.ts';
import { DualPic } from './pic.ts';

const EOI = 0x20;

/** Initialised as Linux does: vectors 0x30 and 0x38, everything unmasked. */
function setUp(options: { icw4?: number; slaveIcw4?: number; icw1?: number } = {}) {
  const intr = new Probe();
  const pic = new DualPic(intr);
  const master = (offset: number, value: number) => pic.master.write(offset, 1, value);
  const slave = (offset: number, value: number) => pic.slave.write(offset, 1, value);
  const icw1 = options.icw1 ?? 0x11;
  for (const [offset, value] of [
    [0, icw1],
    [1, 0x30],
    [1, 4],
    [1, options.icw4 ?? 1],
  ] as const)
    master(offset, value);
  for (const [offset, value] of [
    [0, icw1],
    [1, 0x38],
    [1, 2],
    [1, options.slaveIcw4 ?? 1],
  ] as const)
    slave(offset, value);
  const requests = () => {
    master(0, 0x0a);
    slave(0, 0x0a);
    return (pic.slave.read(0, 1) << 8) | pic.master.read(0, 1);
  };
  const inService = () => {
    master(0, 0x0b);
    slave(0, 0x0b);
    return (pic.slave.read(0, 1) << 8) | pic.master.read(0, 1);
  };
  const pulse = (n: number) => {
    pic.line(n).set(true);
    pic.line(n).set(false);
  };
  return { intr, pic, master, slave, requests, inService, pulse };
}

describe('DualPic', () => {
  it('delivers an edge once, by its vector', () => {
    const { intr, pic, master, requests, inService } = setUp();
    pic.line(4).set(true);
    assert.equal(intr.level, true);
    assert.equal(requests(), 0x10);
    assert.equal(pic.acknowledge(), 0x34);
    assert.equal(intr.level, false);
    assert.equal(inService(), 0x10);
    master(0, EOI);
    assert.equal(intr.level, false, 'the wire is still high, but no edge came');
    pic.line(4).set(false);
    pic.line(4).set(true);
    assert.equal(pic.acknowledge(), 0x34);
  });

  it('delivers the second chip through the first', () => {
    const { intr, pic, master, slave, inService } = setUp();
    pic.line(12).set(true);
    assert.equal(pic.acknowledge(), 0x3c);
    assert.equal(inService(), 0x1004);
    master(0, EOI);
    slave(0, EOI);
    assert.equal(inService(), 0);
    assert.equal(intr.level, false);
  });

  it('lets only more urgent inputs interrupt what is in service', () => {
    const { intr, pic, master } = setUp();
    pic.line(3).set(true);
    assert.equal(pic.acknowledge(), 0x33);
    pic.line(5).set(true);
    assert.equal(intr.level, false);
    pic.line(1).set(true);
    assert.equal(pic.acknowledge(), 0x31);
    master(0, EOI);
    assert.equal(intr.level, false, '3 still blocks 5');
    master(0, EOI);
    assert.equal(pic.acknowledge(), 0x35);
  });

  it('gives 8 before 15 and 15 before 3', () => {
    const { pic, master, slave } = setUp();
    for (const n of [3, 15, 8]) pic.line(n).set(true);
    const order: number[] = [];
    for (let i = 0; i < 3; i++) {
      order.push(pic.acknowledge());
      slave(0, EOI);
      master(0, EOI);
    }
    assert.deepEqual(order, [0x38, 0x3f, 0x33]);
  });

  it('holds masked requests until they are unmasked', () => {
    const { intr, pic, master } = setUp();
    master(1, 0xff);
    assert.equal(pic.master.read(1, 1), 0xff);
    pic.line(0).set(true);
    assert.equal(intr.level, false);
    master(1, 0xfe);
    assert.equal(pic.acknowledge(), 0x30);
  });

  it('answers spurious 7 and 15 and puts no 7 in service', () => {
    const { pic, slave, master, inService } = setUp();
    assert.equal(pic.acknowledge(), 0x37);
    assert.equal(inService(), 0);
    pic.line(10).set(true);
    slave(1, 0xff); // INT of the first chip falls, its edge stays
    assert.equal(pic.acknowledge(), 0x3f);
    assert.equal(inService(), 0x0004, 'a spurious 15 needs an EOI of the first chip only');
    master(0, EOI);
    assert.equal(inService(), 0);
  });

  it('takes levels as long as they last', () => {
    const { intr, pic, slave, master } = setUp();
    pic.edgeLevelControl.write(0, 2, 0xffff);
    assert.equal(pic.edgeLevelControl.read(0, 2), 0xdef8, 'timer, keyboard, cascade, clock and coprocessor stay edges');
    pic.line(11).set(true);
    for (let i = 0; i < 3; i++) {
      assert.equal(pic.acknowledge(), 0x3b);
      slave(0, EOI);
      master(0, EOI);
      assert.equal(intr.level, true);
    }
    pic.line(11).set(false);
    assert.equal(pic.acknowledge() & 7, 7, 'what the cascade latched turns out spurious');
    master(0, EOI);
    assert.equal(intr.level, false);
  });

  it('keeps nothing in service under automatic EOI, and loses no second request of the slave', () => {
    const { intr, pic, inService } = setUp({ icw4: 3, slaveIcw4: 3 });
    pic.line(8).set(true);
    pic.line(9).set(true);
    assert.equal(pic.acknowledge(), 0x38);
    assert.equal(inService(), 0);
    assert.equal(intr.level, true);
    assert.equal(pic.acknowledge(), 0x39);
    assert.equal(intr.level, false);
  });

  it('rotates priorities on EOI, by command, and under automatic EOI', () => {
    const { pic, master } = setUp();
    pic.line(0).set(true);
    assert.equal(pic.acknowledge(), 0x30);
    master(0, 0xa0); // rotate on non-specific EOI: 0 is now the lowest
    for (const n of [0, 7]) {
      pic.line(n).set(false);
      pic.line(n).set(true);
    }
    assert.equal(pic.acknowledge(), 0x37);
    master(0, 0xe7); // rotate on specific EOI of 7
    master(0, 0xc3); // set priority: 3 the lowest, 4 the highest
    pic.line(4).set(true);
    assert.equal(pic.acknowledge(), 0x34);

    const auto = setUp({ icw4: 3 });
    auto.master(0, 0x80);
    auto.pulse(0);
    assert.equal(auto.pic.acknowledge(), 0x30);
    auto.pulse(0);
    auto.pulse(1);
    assert.equal(auto.pic.acknowledge(), 0x31);
    auto.master(0, 0x00);
    assert.equal(auto.pic.acknowledge(), 0x30);
  });

  it('ends exactly the input that a specific EOI names', () => {
    const { pic, master, inService } = setUp();
    pic.line(5).set(true);
    pic.acknowledge();
    pic.line(2 + 1).set(true);
    pic.acknowledge();
    assert.equal(inService(), 0x28);
    master(0, 0x65);
    assert.equal(inService(), 0x08);
  });

  it('lets less urgent inputs through in special mask mode', () => {
    const { intr, pic, master, inService } = setUp();
    pic.line(3).set(true);
    pic.acknowledge();
    pic.line(6).set(true);
    assert.equal(intr.level, false);
    master(1, 0x08);
    master(0, 0x68); // set special mask
    assert.equal(pic.acknowledge(), 0x36);
    master(0, EOI);
    assert.equal(inService(), 0x08, 'a non-specific EOI passes over a masked input');
    master(0, 0x48);
    assert.equal(intr.level, false);
  });

  it('lets more urgent slave inputs through when specially fully nested', () => {
    const { intr, pic } = setUp({ icw4: 0x11 });
    pic.line(12).set(true);
    assert.equal(pic.acknowledge(), 0x3c);
    pic.line(9).set(true);
    assert.equal(intr.level, true);
    assert.equal(pic.acknowledge(), 0x39);
    const plain = setUp();
    plain.pic.line(12).set(true);
    plain.pic.acknowledge();
    plain.pic.line(9).set(true);
    assert.equal(plain.intr.level, false);
  });

  it('answers a poll and takes the input with it', () => {
    const { pic, master, inService, intr } = setUp();
    master(0, 0x0c);
    assert.equal(pic.master.read(0, 1), 0);
    pic.line(6).set(true);
    master(0, 0x0c);
    assert.equal(pic.master.read(0, 1), 0x86);
    assert.equal(intr.level, false);
    assert.equal(inService(), 0x40);
  });

  it('takes all inputs as levels when ICW1 says so, and needs no ICW4', () => {
    const { pic, master } = setUp();
    for (const [offset, value] of [
      [0, 0x18],
      [1, 0x50],
      [1, 4],
    ] as const)
      master(offset, value);
    master(1, 0xf7);
    assert.equal(pic.master.read(1, 1), 0xf7, 'the word after ICW3 is the mask');
    pic.line(3).set(true);
    assert.equal(pic.acknowledge(), 0x53);
    master(0, EOI);
    assert.equal(pic.acknowledge(), 0x53);
  });

  it('survives any sequence of accesses and wires', () => {
    const step = fc.tuple(fc.nat(5), fc.nat(3), fc.nat(0xffff));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const { pic, intr } = setUp();
        for (const [kind, offset, value] of steps) {
          const window = [pic.master, pic.slave, pic.edgeLevelControl][kind % 3]!;
          if (kind < 3) window.write(offset, 2, value);
          else if (kind === 3) pic.line(value & 15).set((value & 16) !== 0);
          else if (kind === 4) assert.ok(window.read(offset, 1) <= 0xff);
          else assert.ok(pic.acknowledge() <= 0xff);
        }
        pic.reset();
        assert.equal(pic.master.read(1, 1), 0);
        for (let n = 0; n < 16; n++) pic.line(n).set(false);
        pic.reset();
        assert.equal(intr.level, false);
      }),
    );
  });
});
