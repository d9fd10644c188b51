import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SteppedClock } from '../../test/support/stepped-clock.ts';
import { Probe } from '../../test/support/wires.ts';
import { Pit } from './pit.ts';
import { SystemControlPortB } from './system-control-port-b.ts';

const CONTROL = 3;
const TICK_NS = 1e9 / 1_193_182;
/** Nanoseconds that surely hold `n` whole ticks, and not one more. */
const ticks = (n: number) => BigInt(Math.ceil(n * TICK_NS + TICK_NS / 4));

function setUp() {
  const clock = new SteppedClock();
  const irq = new Probe();
  const pit = new Pit(clock, irq);
  const portB = new SystemControlPortB(clock, pit);
  pit.reset();
  const program = (control: number, count: number) => {
    const channel = control >> 6;
    pit.write(CONTROL, 1, control);
    pit.write(channel, 1, count & 0xff);
    pit.write(channel, 1, count >> 8);
    // The control word itself may raise the output; tests count what comes of counting.
    irq.rises = 0;
  };
  const read16 = (channel: number) => pit.read(channel, 1) | (pit.read(channel, 1) << 8);
  const status = (channel: number) => {
    pit.write(CONTROL, 1, 0xe0 | (2 << channel));
    return pit.read(channel, 1);
  };
  return { clock, irq, pit, portB, program, read16, status };
}

describe('Pit', () => {
  it('is silent until programmed', () => {
    const { clock, irq } = setUp();
    clock.step(1_000_000_000n);
    assert.equal(irq.rises, 0);
    assert.equal(clock.alarms, 0);
  });

  it('interrupts at the programmed rate, exactly, without drift', () => {
    const { clock, irq, program } = setUp();
    program(0x34, 11932); // Linux at 100 Hz
    clock.step(10_000_000_000n);
    assert.equal(irq.rises, Math.floor((10 * 1_193_182 - 1) / 11932));
  });

  it('interrupts once per cycle of a square wave and of a full count', () => {
    const { clock, irq, program } = setUp();
    program(0x36, 0);
    clock.step(1_000_000_000n);
    assert.equal(irq.rises, 18);
  });

  it('goes on after a stall with one interrupt for all that were missed', () => {
    const { clock, irq, program } = setUp();
    program(0x34, 1193);
    clock.stall(1_000_000_000n);
    assert.equal(irq.rises, 0);
    clock.step(0);
    assert.equal(irq.rises, 1);
    clock.step(100_000_000n);
    assert.ok(irq.rises >= 100 && irq.rises <= 102, String(irq.rises));
  });

  it('counts down by one in mode 2 and by two in mode 3', () => {
    const { clock, pit, program, read16 } = setUp();
    program(0x74, 1000);
    clock.step(ticks(1 + 10));
    assert.equal(read16(1), 990);
    clock.step(ticks(990) - ticks(0));
    assert.equal(read16(1), 1000);
    program(0x76, 1000);
    clock.step(ticks(1 + 10));
    assert.ok([980, 978].includes(read16(1)));
    assert.equal(pit.read(CONTROL, 1), 0xff);
  });

  it('latches a count until it is read', () => {
    const { clock, pit, program, read16 } = setUp();
    program(0x34, 5000);
    clock.step(ticks(101));
    pit.write(CONTROL, 1, 0x00);
    clock.step(ticks(50));
    pit.write(CONTROL, 1, 0x00);
    assert.equal(read16(0), 4900);
    const now = read16(0);
    assert.ok(now === 4850 || now === 4849, String(now));
  });

  it('reads and writes single bytes as programmed', () => {
    const { clock, pit } = setUp();
    pit.write(CONTROL, 1, 0x54); // channel 1, low byte only, mode 2
    pit.write(1, 1, 18);
    clock.step(ticks(1 + 3));
    assert.equal(pit.read(1, 1), 15);
    pit.write(CONTROL, 1, 0x64); // high byte only
    pit.write(1, 1, 0x12);
    clock.step(ticks(2));
    assert.equal(pit.read(1, 1), 0x11);
  });

  it('counts in BCD', () => {
    const { clock, program, read16 } = setUp();
    program(0x35, 0x1000);
    clock.step(ticks(1 + 1));
    assert.equal(read16(0), 0x0999);
    program(0x31, 0);
    clock.step(ticks(1 + 1));
    assert.equal(read16(0), 0x9999);
  });

  it('raises OUT at terminal count in mode 0 and never again', () => {
    const { clock, irq, program, status } = setUp();
    program(0x30, 1000);
    assert.equal(status(0) & 0x80, 0);
    clock.step(ticks(1000));
    assert.equal(irq.rises, 0);
    clock.step(ticks(2));
    assert.equal(irq.rises, 1);
    assert.equal(status(0) & 0x80, 0x80);
    clock.step(1_000_000_000n);
    assert.equal(irq.rises, 1);
  });

  it('strobes once in mode 4, as Linux uses it for single shots', () => {
    const { clock, irq, program } = setUp();
    program(0x38, 500);
    clock.step(ticks(501));
    assert.equal(irq.rises, 0);
    clock.step(ticks(2));
    assert.equal(irq.rises, 1);
    clock.step(1_000_000_000n);
    assert.equal(irq.rises, 1);
    assert.equal(clock.alarms, 0);
  });

  it('takes a new count of mode 2 when the cycle ends', () => {
    const { clock, pit, program, read16, status } = setUp();
    program(0x74, 1000);
    clock.step(ticks(1 + 400));
    pit.write(1, 1, 200);
    pit.write(1, 1, 0);
    assert.equal(status(1) & 0x40, 0x40, 'the new count is not loaded yet');
    assert.equal(read16(1), 600);
    clock.step(ticks(600));
    assert.equal(status(1), 0xb4);
    assert.ok(read16(1) >= 199 && read16(1) <= 200);
  });

  it('reports status and count by one read-back', () => {
    const { clock, pit, program } = setUp();
    program(0x36, 100);
    clock.step(ticks(1 + 2));
    pit.write(CONTROL, 1, 0xc2);
    assert.equal(pit.read(0, 1), 0xb6, 'status comes first');
    assert.equal(pit.read(0, 1), 96);
    assert.equal(pit.read(0, 1), 0);
  });

  it('lets port 0x61 gate channel 2 and see its output', () => {
    const { clock, portB, program, read16 } = setUp();
    const enable = (on: boolean) => portB.write(0, 1, on ? 1 : 0);
    enable(false);
    program(0xb0, 11932); // Linux's calibration: mode 0
    clock.step(20_000_000n);
    assert.equal(portB.read(0, 1) & 0x20, 0, 'the gate holds the count');
    assert.equal(read16(2), 11932);
    enable(true);
    clock.step(ticks(11931));
    assert.equal(portB.read(0, 1) & 0x20, 0);
    clock.step(ticks(2));
    assert.equal(portB.read(0, 1) & 0x21, 0x21);
  });

  it('shoots once per rising gate in mode 1 and strobes in mode 5', () => {
    const { clock, portB, program } = setUp();
    const output = () => (portB.read(0, 1) & 0x20) !== 0;
    const fire = () => {
      portB.write(0, 1, 0);
      portB.write(0, 1, 1);
    };
    program(0xb2, 100);
    assert.equal(output(), true);
    fire();
    clock.step(ticks(50));
    assert.equal(output(), false);
    fire();
    clock.step(ticks(99));
    assert.equal(output(), false, 'the second trigger starts anew');
    clock.step(ticks(3));
    assert.equal(output(), true);
    program(0xba, 10);
    fire();
    let low = 0;
    for (let quarters = 0; quarters < 80; quarters++) {
      clock.step(210);
      if (!output()) low++;
    }
    assert.ok(low >= 3 && low <= 5, `low for one tick, not ${low} quarters`);
  });

  it('stops a wave while its gate is low and begins it anew', () => {
    const { clock, portB, program, read16 } = setUp();
    portB.write(0, 1, 1);
    program(0xb4, 1000);
    clock.step(ticks(300));
    portB.write(0, 1, 0);
    clock.step(ticks(5000));
    assert.equal(portB.read(0, 1) & 0x20, 0x20);
    portB.write(0, 1, 1);
    clock.step(ticks(1 + 10));
    assert.ok([990, 989].includes(read16(2)));
  });

  it('toggles the refresh bit', () => {
    const { clock, portB } = setUp();
    let toggles = 0;
    let last = portB.read(0, 1) & 0x10;
    for (let i = 0; i < 2000; i++) {
      clock.step(1000);
      const now = portB.read(0, 1) & 0x10;
      if (now !== last) toggles++;
      last = now;
    }
    assert.equal(toggles, 132);
  });

  it('keeps alarms of absurd rates apart', () => {
    const { clock, irq, program } = setUp();
    for (const control of [0x34, 0x36]) {
      for (const count of [1, 2, 3]) {
        program(control, count);
        clock.step(1_000_000n);
        assert.ok(irq.rises <= 51, `${irq.rises}`);
      }
    }
  });

  it('loses no interrupt to an access between a tick and its late alarm', () => {
    const { clock, irq, program, pit } = setUp();
    program(0x34, 1000);
    clock.step(ticks(1500));
    const rises = irq.rises;
    clock.stall(ticks(1000));
    pit.write(3, 1, 0x00);
    assert.equal(irq.rises, rises + 1);
    clock.step(1);
    assert.equal(irq.rises, rises + 1);
  });

  it('survives any sequence of accesses', () => {
    const step = fc.tuple(fc.nat(4), fc.nat(255), fc.boolean(), fc.nat(1_000_000));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { clock, pit, portB } = setUp();
        for (const [offset, value, write, ns] of steps) {
          const device = offset === 4 ? portB : pit;
          if (write) device.write(offset & 3, 1, value);
          else {
            const read = device.read(offset & 3, 1);
            assert.ok(Number.isInteger(read) && read >= 0 && read <= 0xff, String(read));
          }
          clock.step(ns);
        }
        assert.ok(clock.alarms <= 1);
      }),
    );
  });
});
