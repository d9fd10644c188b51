import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NS_PER_INSTRUCTION, RealClock, SLICE_NS, VirtualClock } from './clock.ts';
import type { HostTime } from './host-services.ts';

const NEVER = new Promise<void>(() => {});

/** A host whose time stands still until a test moves it; timers move it to their end. */
class SteppedHost implements HostTime {
  ns = 5_000_000_000n;
  timers: number[] = [];
  breaths = 0;
  nowNs(): bigint {
    return this.ns;
  }
  wallTimeMs(): number {
    return 1_700_000_000_000;
  }
  setTimer(ms: number, ring: () => void): () => void {
    this.timers.push(ms);
    this.ns += BigInt(ms) * 1_000_000n;
    queueMicrotask(ring);
    return () => {};
  }
  async breathe(): Promise<void> {
    this.breaths += 1;
    this.ns += 100_000n;
  }
}

test('virtual time is retired instructions, and wall time follows it', () => {
  let retired = 0;
  const clock = new VirtualClock(() => retired, 1000);
  retired = 2_000_000;
  assert.equal(clock.now(), BigInt(2_000_000 * NS_PER_INSTRUCTION));
  assert.equal(clock.wallTime(), 1000 + (2_000_000 * NS_PER_INSTRUCTION) / 1e6);
});

test('the virtual budget ends exactly at the next alarm', () => {
  let retired = 0;
  const clock = new VirtualClock(() => retired, 0);
  const rung: bigint[] = [];
  clock.after(12_345n, () => rung.push(clock.now()));
  retired += clock.budget();
  clock.ringDue();
  assert.equal(rung.length, 1);
  assert.ok(rung[0]! >= 12_345n && rung[0]! < 12_345n + BigInt(NS_PER_INSTRUCTION));
});

test('a halted virtual machine jumps to its next alarm', async () => {
  const clock = new VirtualClock(() => 7, 0);
  let rang = false;
  clock.after(3_600_000_000_000n, () => (rang = true));
  await clock.idle(NEVER);
  clock.ringDue();
  assert.ok(rang);
});

test('alarms ring in order of deadline, then of setting; cancelled ones never', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.boolean()), { maxLength: 30 }), (wanted) => {
      let retired = 0;
      const clock = new VirtualClock(() => retired, 0);
      const rung: number[] = [];
      const alarms = wanted.map(([ns], i) => clock.after(BigInt(ns), () => rung.push(i)));
      wanted.forEach(([, cancelled], i) => {
        if (cancelled) alarms[i]!.cancel();
      });
      retired = 1;
      clock.ringDue();
      const expected = wanted.map(([ns, cancelled], i) => ({ ns, cancelled, i })).filter((a) => !a.cancelled);
      expected.sort((a, b) => a.ns - b.ns || a.i - b.i);
      assert.deepEqual(
        rung,
        expected.map((a) => a.i),
      );
    }),
  );
});

test('an alarm that cancels another due one wins; one that sets itself again waits its turn', () => {
  let retired = 0;
  const clock = new VirtualClock(() => retired, 0);
  const rung: string[] = [];
  const again = (): void => {
    rung.push('first');
    second.cancel();
    clock.after(0n, again);
  };
  clock.after(1n, again);
  const second = clock.after(2n, () => rung.push('second'));
  retired = 1;
  clock.ringDue();
  assert.deepEqual(rung, ['first']);
  clock.ringDue();
  assert.deepEqual(rung, ['first', 'first']);
});

test('the real clock sizes budgets by the measured rate', () => {
  const host = new SteppedHost();
  const clock = new RealClock(host);
  for (let i = 0; i < 60; i++) clock.ran(400_000, SLICE_NS);
  assert.ok(Math.abs(clock.budget() - 400_000) < 4_000);
  clock.after(1_000_000n, () => {});
  assert.ok(Math.abs(clock.budget() - 90_000) < 1_000);
  host.ns += 2_000_000n;
  assert.ok(clock.budget() > 0 && clock.budget() <= 1000);
});

test('the real clock sleeps whole milliseconds and waits out the rest in turns', async () => {
  const host = new SteppedHost();
  const clock = new RealClock(host);
  let rang = false;
  clock.after(2_300_000n, () => (rang = true));
  for (let i = 0; i < 10 && !rang; i++) {
    await clock.idle(NEVER);
    clock.ringDue();
  }
  assert.deepEqual([rang, host.timers, host.breaths], [true, [2], 3]);
});

test('waking ends an idle wait without alarms', async () => {
  const clock = new RealClock(new SteppedHost());
  await clock.idle(Promise.resolve());
});

test('an alarm that is due before all others is noticed, a later one is not', () => {
  const clock = new VirtualClock(() => 0, 0);
  let noticed = 0;
  clock.onEarlierAlarm(() => {
    noticed += 1;
  });
  clock.after(1000n, () => {});
  clock.after(2000n, () => {});
  clock.after(500n, () => {});
  assert.equal(noticed, 2);
});
