import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SteppedClock } from '../../test/support/stepped-clock.ts';
import { Probe } from '../../test/support/wires.ts';
import { AcpiPowerManagement, SLEEP_TYPE_S5 } from './acpi-pm.ts';

function setUp() {
  const clock = new SteppedClock();
  const sci = new Probe();
  let off = 0;
  const pm = new AcpiPowerManagement(clock, sci, () => off++);
  return { clock, sci, pm, powerOffs: () => off };
}

describe('AcpiPowerManagement', () => {
  it('counts 3,579,545 times a second, in 32 bits', () => {
    const { clock, pm } = setUp();
    clock.step(1_000_000_000n);
    assert.equal(pm.read(0x08, 4), 3_579_545);
    assert.equal(pm.read(0x09, 1), (3_579_545 >> 8) & 0xff);
    clock.step(1200n * 1_000_000_000n);
    assert.equal(pm.read(0x08, 4), Number((1201n * 3_579_545n) % (1n << 32n)));
  });

  it('is in ACPI mode from the start', () => {
    const { pm } = setUp();
    assert.equal(pm.read(0x04, 2), 1);
    pm.write(0x04, 2, 0);
    assert.equal(pm.read(0x04, 2), 1);
  });

  it('powers off on S5 only', () => {
    const { pm, powerOffs } = setUp();
    pm.write(0x04, 2, SLEEP_TYPE_S5 << 10);
    pm.write(0x04, 2, (3 << 10) | 0x2001);
    assert.equal(powerOffs(), 0);
    pm.write(0x04, 2, (SLEEP_TYPE_S5 << 10) | 0x2001);
    assert.equal(powerOffs(), 1);
    assert.equal(pm.read(0x04, 2), (SLEEP_TYPE_S5 << 10) | 1, 'SLP_EN reads 0');
    pm.write(0x05, 1, 0x34);
    assert.equal(powerOffs(), 2, 'by bytes too');
  });

  it('asks for shutdown by the power button, as a level until acknowledged', () => {
    const { pm, sci } = setUp();
    pm.pressPowerButton();
    assert.equal(sci.level, false);
    pm.write(0x02, 2, 0x0100);
    assert.equal(sci.level, true);
    assert.equal(pm.read(0x00, 2), 0x0100);
    pm.write(0x00, 2, 0x0001);
    assert.equal(sci.level, true);
    pm.write(0x00, 2, 0x0100);
    assert.equal(sci.level, false);
    assert.equal(pm.read(0x00, 4), 0x01000000);
  });

  it('tells when the highest timer bit changes', () => {
    const { clock, pm, sci } = setUp();
    clock.step(590n * 1_000_000_000n);
    assert.equal(pm.read(0x00, 2), 0);
    clock.step(20n * 1_000_000_000n);
    assert.equal(pm.read(0x00, 2), 1);
    pm.write(0x00, 2, 1);
    pm.write(0x02, 2, 1);
    assert.equal(sci.level, false);
    clock.step(600n * 1_000_000_000n);
    assert.equal(sci.level, true);
    pm.reset();
    assert.equal(sci.level, false);
    assert.equal(clock.alarms, 0);
  });

  it('tells of a general-purpose event that is enabled, as a level until acknowledged', () => {
    const { pm, sci } = setUp();
    pm.raiseEvent(3);
    pm.write(0x20, 4, 0x8001ffff);
    assert.equal(pm.read(0x20, 4), 0x80010000, 'the write acknowledged it');
    pm.raiseEvent(15);
    assert.equal(sci.level, true);
    assert.equal(pm.read(0x20, 4), 0x80018000);
    pm.write(0x20, 1, 0xff);
    assert.equal(sci.level, true);
    pm.write(0x21, 1, 0x80);
    assert.equal(sci.level, false);
    pm.raiseEvent(1);
    assert.equal(sci.level, false, 'not enabled');
  });

  it('survives any sequence of accesses', () => {
    const step = fc.tuple(fc.boolean(), fc.nat(0x44), fc.constantFrom<1 | 2 | 4>(1, 2, 4), fc.nat(0xffffffff));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { clock, pm, sci } = setUp();
        for (const [write, offset, width, value] of steps) {
          if (write) pm.write(offset, width, value);
          else {
            const read = pm.read(offset, width);
            assert.ok(Number.isInteger(read) && read >= 0 && read < 2 ** (8 * width));
          }
          clock.step(value);
        }
        pm.reset();
        assert.equal(sci.level, false);
      }),
    );
  });
});
