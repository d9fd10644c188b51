import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SteppedClock } from '../../test/support/stepped-clock.ts';
import { Probe } from '../../test/support/wires.ts';
import { RealTimeClock } from './rtc.ts';

const MIB = 1 << 20;
const SECOND = 1_000_000_000n;

function setUp(time = Date.UTC(2026, 11, 31, 23, 59, 58), memorySize = 512 * MIB) {
  const clock = new SteppedClock(time);
  const irq = new Probe();
  const rtc = new RealTimeClock(clock, irq, { memorySize });
  const get = (index: number) => {
    rtc.write(0, 1, index);
    return rtc.read(1, 1);
  };
  const put = (index: number, value: number) => {
    rtc.write(0, 1, index);
    rtc.write(1, 1, value);
  };
  const time6 = () => [0x32, 9, 8, 7, 4, 2, 0].map(get);
  return { clock, irq, rtc, get, put, time6 };
}

describe('RealTimeClock', () => {
  it('shows the host time in BCD and 24 hours, and turns the year', () => {
    const { clock, get, time6 } = setUp();
    assert.deepEqual(time6(), [0x20, 0x26, 0x12, 0x31, 0x23, 0x59, 0x58]);
    assert.equal(get(6), 5, 'a Thursday');
    clock.step(2n * SECOND);
    assert.deepEqual(time6(), [0x20, 0x27, 0x01, 0x01, 0x00, 0x00, 0x00]);
    assert.equal(get(0x0b), 0x02);
    assert.equal(get(0x0d), 0x80);
  });

  it('shows binary and 12 hours when told so', () => {
    const { put, time6, get } = setUp();
    put(0x0b, 0x04);
    assert.deepEqual(time6(), [20, 26, 12, 31, 11 | 0x80, 59, 58]);
    put(0x0b, 0x00);
    assert.equal(get(4), 0x91);
    const midnight = setUp(Date.UTC(2026, 0, 1, 0, 30));
    midnight.put(0x0b, 0x00);
    assert.equal(midnight.get(4), 0x12);
    const noon = setUp(Date.UTC(2026, 0, 1, 12, 30));
    noon.put(0x0b, 0x00);
    assert.equal(noon.get(4), 0x92);
  });

  it('can be set, and holds still while SET', () => {
    const { clock, put, time6 } = setUp();
    put(0x0b, 0x82);
    for (const [index, value] of [
      [0x32, 0x19],
      [9, 0x99],
      [8, 0x02],
      [7, 0x28],
      [4, 0x23],
      [2, 0x59],
      [0, 0x59],
    ] as const) {
      put(index, value);
    }
    clock.step(5n * SECOND);
    assert.deepEqual(time6(), [0x19, 0x99, 0x02, 0x28, 0x23, 0x59, 0x59]);
    put(0x0b, 0x02);
    clock.step(SECOND);
    assert.deepEqual(time6(), [0x19, 0x99, 0x03, 0x01, 0x00, 0x00, 0x00]);
    put(2, 0x30);
    assert.deepEqual(time6(), [0x19, 0x99, 0x03, 0x01, 0x00, 0x30, 0x00], 'also without SET');
  });

  it('shows any time that it was set to', () => {
    const wall = fc.integer({ min: Date.UTC(1970, 0, 1) / 1000, max: Date.UTC(2199, 11, 31) / 1000 });
    fc.assert(
      fc.property(wall, fc.constantFrom(0, 2, 4, 6), (seconds, format) => {
        const there = setUp(seconds * 1000);
        there.put(0x0b, format);
        const fields = [0x32, 9, 8, 7, 4, 2, 0];
        const here = setUp();
        here.put(0x0b, 0x80 | format);
        for (const index of fields) here.put(index, there.get(index));
        here.put(0x0b, format);
        assert.deepEqual(here.time6(), there.time6());
        assert.equal(here.get(6), there.get(6));
      }),
    );
  });

  it('announces updates and interrupts after each', () => {
    const { clock, irq, get, put } = setUp();
    assert.equal(get(0x0a), 0x26);
    clock.step(998_500_000);
    assert.equal(get(0x0a), 0xa6);
    clock.step(1_500_000);
    assert.equal(get(0x0a), 0x26);
    assert.equal(get(0x0c) & 0x10, 0x10, 'flagged without an interrupt');
    assert.equal(irq.rises, 0);
    put(0x0b, 0x12);
    clock.step(SECOND);
    assert.equal(irq.level, true);
    assert.equal(get(0x0c) & 0x90, 0x90);
    assert.equal(irq.level, false);
    clock.step(SECOND);
    assert.equal(irq.rises, 2);
    put(0x0b, 0x92);
    assert.equal(get(0x0b), 0x82, 'SET clears UIE');
    assert.equal(clock.alarms, 0);
  });

  it('interrupts at the alarm time, with bytes that match anything', () => {
    const { clock, irq, get, put } = setUp();
    for (const [index, value] of [
      [5, 0x00],
      [3, 0x00],
      [1, 0x05],
    ] as const)
      put(index, value);
    put(0x0b, 0x22);
    clock.step(6n * SECOND);
    assert.equal(irq.rises, 0);
    clock.step(SECOND);
    assert.equal(irq.level, true);
    assert.equal(get(0x0c) & 0xa0, 0xa0);
    put(5, 0xff);
    put(3, 0xc0);
    clock.step(60n * SECOND);
    assert.equal(irq.rises, 2);
  });

  it('flags an alarm that nobody waited for', () => {
    const { clock, irq, get, put } = setUp();
    for (const [index, value] of [
      [5, 0x12],
      [3, 0x00],
      [1, 0x00],
    ] as const)
      put(index, value);
    clock.step(11n * 3600n * SECOND);
    assert.equal(get(0x0c) & 0x20, 0);
    clock.step(2n * 3600n * SECOND);
    assert.equal(get(0x0c) & 0xa0, 0x20);
    assert.equal(irq.rises, 0);
  });

  it('interrupts periodically at the chosen rate', () => {
    const { clock, irq, get, put } = setUp();
    const rate = (select: number) => {
      put(0x0a, 0x20 | select);
      put(0x0b, 0x42);
      let interrupts = 0;
      for (let i = 0; i < 20_000; i++) {
        clock.step(50_000);
        if (irq.level) {
          assert.equal(get(0x0c) & 0xc0, 0xc0);
          interrupts++;
        }
      }
      return interrupts;
    };
    assert.equal(rate(6), 1024);
    assert.equal(rate(3), 8192);
    assert.equal(rate(15), 2);
    assert.equal(rate(1), 256);
    assert.equal(rate(0), 0);
  });

  it('keeps CMOS bytes and the NMI mask', () => {
    const { rtc, get, put } = setUp();
    put(0x0f | 0x80, 0x0a);
    assert.equal(rtc.nmiMasked, true);
    assert.equal(get(0x0f), 0x0a);
    assert.equal(rtc.nmiMasked, false);
    rtc.reset();
    assert.equal(get(0x0f), 0x0a);
  });

  it('tells the size of memory', () => {
    const { get } = setUp(0, 512 * MIB);
    assert.equal(get(0x15) | (get(0x16) << 8), 640);
    assert.equal(get(0x17) | (get(0x18) << 8), 0xffff);
    assert.equal((get(0x34) | (get(0x35) << 8)) * 64, 496 * 1024);
    const small = setUp(0, 8 * MIB);
    assert.equal(small.get(0x30) | (small.get(0x31) << 8), 7 * 1024);
    assert.equal(small.get(0x34), 0);
  });

  it('survives any sequence of accesses', () => {
    const step = fc.tuple(fc.boolean(), fc.nat(2), fc.nat(255), fc.nat(3_000_000_000));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { clock, rtc, irq } = setUp();
        for (const [write, offset, value, ns] of steps) {
          if (write) rtc.write(offset, 1, value);
          else {
            const read = rtc.read(offset, 1);
            assert.ok(Number.isInteger(read) && read >= 0 && read <= 0xff, String(read));
          }
          clock.step(ns);
        }
        rtc.reset();
        assert.equal(irq.level, false);
        assert.equal(clock.alarms, 0);
      }),
      { numRuns: 50 },
    );
  });
});
