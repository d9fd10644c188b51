import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CURRENT, DIVIDE, EOI, INITIAL, LVT_TIMER, SVR, setUp, TSC_DEADLINE } from '../../test/support/local-apic.ts';
import { SteppedClock } from '../../test/support/stepped-clock.ts';
import { LocalApic } from './local-apic.ts';

describe('the timer of a LocalApic', () => {
  it('expires even when a short count is over before the host looks at its clock again', () => {
    const clock = new SteppedClock();
    const now = clock.now.bind(clock);
    let looks = 0n;
    clock.now = () => now() + 1000n * looks++;
    let asked = 0;
    const apic = new LocalApic({
      id: 0,
      clock,
      tscFrequency: 1_000_000_000,
      changed: () => asked++,
      acknowledgeExternal: () => 0,
      endOfInterrupt: () => {},
    });
    apic.write(SVR, 4, 0x1ff);
    apic.write(LVT_TIMER, 4, 0xec);
    apic.write(INITIAL, 4, 10);
    clock.step(1);
    assert.equal(apic.acknowledge(), 0xec);
    apic.write(DIVIDE, 4, 3);
    clock.step(1_000_000);
    assert.ok(!apic.pending());
    assert.ok(asked > 0);
  });

  it('stays at zero when it came there once and turns periodic then', () => {
    const { clock, apic, get, put } = setUp();
    put(DIVIDE, 0xb);
    put(LVT_TIMER, 0x40);
    put(INITIAL, 1000);
    clock.step(1000);
    assert.equal(apic.acknowledge(), 0x40);
    put(EOI, 0);
    put(LVT_TIMER, 0x20040);
    clock.step(5000);
    assert.equal(get(CURRENT), 0);
    assert.equal(apic.pending(), false);
    put(INITIAL, 1000);
    clock.step(400);
    assert.equal(get(CURRENT), 600);
  });

  it('counts once, or periodically without drift, by its divider', () => {
    const { clock, apic, get, put } = setUp();
    let taken = 0;
    const drain = () => {
      while (apic.acknowledge() === 0x40) {
        taken++;
        put(EOI, 0);
      }
    };
    put(DIVIDE, 0xb); // by 1
    put(LVT_TIMER, 0x40);
    put(INITIAL, 1_000_000);
    clock.step(400_000);
    assert.equal(get(CURRENT), 600_000);
    clock.step(599_999);
    assert.equal(apic.pending(), false);
    clock.step(1);
    drain();
    assert.equal(taken, 1);
    assert.equal(get(CURRENT), 0);
    clock.step(10_000_000);
    assert.equal(apic.pending(), false);

    put(DIVIDE, 0x3); // by 16
    put(LVT_TIMER, 0x20040);
    put(INITIAL, 62_500); // a millisecond
    for (let i = 0; i < 100; i++) {
      clock.step(1_000_000);
      drain();
    }
    assert.equal(taken, 101);
    clock.step(500_000);
    assert.equal(get(CURRENT), 31_250);
    put(DIVIDE, 0xb);
    assert.equal(get(CURRENT), 31_250, 'a new divider leaves the count');
    put(INITIAL, 0);
    assert.equal(clock.alarms, 0);
  });

  it('counts on while masked', () => {
    const { clock, apic, get, put } = setUp();
    put(DIVIDE, 0xb);
    put(LVT_TIMER, 0x10040);
    put(INITIAL, 0xffffffff);
    clock.step(1000);
    assert.equal(get(CURRENT), 0xffffffff - 1000);
    clock.step(5_000_000_000n);
    assert.equal(apic.pending(), false);
  });

  it('fires at a TSC deadline, at once when it has passed, and disarms', () => {
    const { clock, apic, get, put } = setUp();
    const { msrs } = apic;
    msrs.write(TSC_DEADLINE, 1000n);
    assert.equal(msrs.read(TSC_DEADLINE), 0n, 'ignored in another mode');
    put(LVT_TIMER, 0x40040);
    put(INITIAL, 1000);
    assert.equal(get(INITIAL), 0);
    msrs.write(TSC_DEADLINE, 2_500_000n); // at a millisecond
    clock.step(999_999);
    assert.equal(apic.pending(), false);
    assert.equal(msrs.read(TSC_DEADLINE), 2_500_000n);
    clock.step(1);
    assert.equal(apic.acknowledge(), 0x40);
    put(EOI, 0);
    assert.equal(msrs.read(TSC_DEADLINE), 0n);
    msrs.write(TSC_DEADLINE, 1n);
    assert.equal(apic.acknowledge(), 0x40);
    put(EOI, 0);
    msrs.write(TSC_DEADLINE, 0xffff_ffff_ffff_ffffn);
    clock.step(1n << 42n);
    assert.equal(apic.pending(), false);
    msrs.write(TSC_DEADLINE, 0n);
    assert.equal(clock.alarms, 0);
    msrs.write(TSC_DEADLINE, 1n << 60n);
    put(LVT_TIMER, 0x40);
    assert.equal(msrs.read(TSC_DEADLINE), 0n, 'another mode disarms');
    assert.equal(clock.alarms, 0);
  });

  it('keeps alarms of absurd periods apart', () => {
    const { clock, put, log } = setUp();
    put(DIVIDE, 0xb);
    put(LVT_TIMER, 0x20040);
    put(INITIAL, 1);
    log.length = 0;
    clock.step(1_000_000);
    assert.ok(log.length <= 51, String(log.length));
  });
});
