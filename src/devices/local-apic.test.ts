import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SteppedClock } from '../../test/support/stepped-clock.ts';
import type { InterruptSource, MsrSpace } from '../engine/engine.ts';
import { LocalApic } from './local-apic.ts';

const ID = 0x20;
const VERSION = 0x30;
const TPR = 0x80;
const PPR = 0xa0;
const EOI = 0xb0;
const LDR = 0xd0;
const DFR = 0xe0;
const SVR = 0xf0;
const ISR = 0x100;
const TMR = 0x180;
const IRR = 0x200;
const ESR = 0x280;
const ICR = 0x300;
const ICR_HIGH = 0x310;
const LVT_TIMER = 0x320;
const LVT_LINT0 = 0x350;
const LVT_LINT1 = 0x360;
const LVT_ERROR = 0x370;
const INITIAL = 0x380;
const CURRENT = 0x390;
const DIVIDE = 0x3e0;

const BASE = 0x1b;
const TSC_DEADLINE = 0x6e0;
const MESSAGES = 0xfee00000;

function setUp(id = 0) {
  const clock = new SteppedClock();
  const log: string[] = [];
  let external = 0x37;
  const apic = new LocalApic({
    id,
    clock,
    tscFrequency: 2_500_000_000,
    changed: () => log.push('changed'),
    acknowledgeExternal: () => external,
    endOfInterrupt: (vector) => log.push(`eoi ${vector}`),
    init: () => log.push('init'),
    startup: (vector) => log.push(`startup ${vector}`),
  });
  const get = (offset: number) => apic.read(offset, 4);
  const put = (offset: number, value: number) => apic.write(offset, 4, value);
  const message = (vector: number, level = false) =>
    apic.message(MESSAGES + id * 0x1000, vector | (level ? 0xc000 : 0));
  put(SVR, 0x1ff);
  const setExternal = (vector: number) => {
    external = vector;
  };
  return { clock, log, apic, get, put, message, setExternal };
}

function x2(id = 0) {
  const machine = setUp(id);
  assert.equal(machine.apic.msrs.write(BASE, 0xfee00c00n), true);
  return machine;
}

describe('LocalApic', () => {
  it('is what the engine asks for', () => {
    const { apic } = setUp();
    const source: InterruptSource = apic;
    const msrs: MsrSpace = apic.msrs;
    assert.equal(source.pending(), false);
    assert.equal(source.acknowledge(), -1);
    assert.equal(msrs.read(BASE), 0xfee00900n);
    assert.equal(msrs.read(0x10), undefined);
    assert.equal(msrs.write(0x10, 0n), false);
  });

  it('identifies itself', () => {
    const { apic, get } = setUp(5);
    assert.equal(get(ID), 0x05000000);
    assert.equal(get(VERSION), 0x00050014);
    assert.equal(apic.read(ID + 3, 1), 5);
    assert.equal(apic.read(VERSION, 2), 0x14);
    assert.equal(apic.msrs.read(BASE), 0xfee00800n, 'not the bootstrap processor');
  });

  it('accepts messages, takes the highest and nests by priority class', () => {
    const { apic, get, put, message, log } = setUp();
    message(0x41);
    message(0x52);
    message(0x53);
    assert.ok(log.includes('changed'));
    assert.equal(get(IRR + 0x20), 0x000c0002);
    assert.equal(apic.acknowledge(), 0x53);
    assert.equal(apic.pending(), false, '0x52 is of the class in service');
    assert.equal(get(PPR), 0x50);
    assert.equal(get(ISR + 0x20), 0x00080000);
    message(0x61);
    assert.equal(apic.acknowledge(), 0x61);
    put(EOI, 0);
    put(EOI, 0);
    assert.equal(apic.acknowledge(), 0x52);
    put(EOI, 0);
    assert.equal(apic.acknowledge(), 0x41);
    put(EOI, 0);
    assert.equal(apic.pending(), false);
    assert.equal(get(PPR), 0);
  });

  it('holds interrupts below the task priority, set by TPR or CR8', () => {
    const { apic, get, put, message } = setUp();
    put(TPR, 0x45);
    assert.equal(apic.taskPriority(), 4);
    message(0x4f);
    assert.equal(apic.pending(), false);
    message(0x50);
    assert.equal(apic.pending(), true);
    apic.setTaskPriority(5);
    assert.equal(get(TPR), 0x50);
    assert.equal(apic.pending(), false);
    apic.setTaskPriority(0);
    assert.equal(apic.acknowledge(), 0x50);
  });

  it('tells I/O APICs of the end of level-triggered interrupts only', () => {
    const { apic, get, put, message, log } = setUp();
    message(0x30, true);
    message(0x40);
    assert.equal(get(TMR + 0x10), 0x00010000);
    apic.acknowledge();
    put(EOI, 0);
    assert.ok(!log.some((entry) => entry.startsWith('eoi')));
    apic.acknowledge();
    put(EOI, 0);
    assert.ok(log.includes('eoi 48'));
  });

  it('masks its vector table and drops messages while software-disabled, but not NMI', () => {
    const { apic, get, put, message } = setUp();
    put(LVT_TIMER, 0x40);
    put(SVR, 0xff);
    assert.equal(get(LVT_TIMER), 0x10040);
    put(LVT_TIMER, 0x41);
    assert.equal(get(LVT_TIMER), 0x10041);
    message(0x50);
    assert.equal(apic.pending(), false);
    apic.message(MESSAGES, 0x400);
    assert.equal(apic.takeNmi(), true);
    assert.equal(apic.takeNmi(), false);
  });

  it('passes the PIC through LINT0 ahead of everything', () => {
    const { apic, message } = setUp();
    apic.reset();
    apic.lint0.set(true);
    assert.equal(apic.pending(), false, 'masked after reset');
    apic.programVirtualWire();
    assert.equal(apic.pending(), true);
    message(0x80);
    apic.setTaskPriority(15);
    assert.equal(apic.acknowledge(), 0x37);
    apic.lint0.set(false);
    assert.equal(apic.pending(), false);
    apic.lint1.set(true);
    assert.equal(apic.takeNmi(), true);
  });

  it('is bypassed by INTR and NMI when globally disabled', () => {
    const { apic, message, get } = setUp();
    assert.equal(apic.msrs.write(BASE, 0xfee00100n), true);
    assert.equal(get(ID), 0xffffffff);
    message(0x50);
    assert.equal(apic.pending(), false);
    apic.lint0.set(true);
    assert.equal(apic.acknowledge(), 0x37);
    apic.lint0.set(false);
    apic.lint1.set(true);
    assert.equal(apic.takeNmi(), true);
    assert.equal(apic.msrs.write(BASE, 0xfee00900n), true);
    assert.equal(get(SVR), 0xff, 'enabled anew, it is as after power-on');
  });

  it('takes an ExtINT message of an I/O APIC once', () => {
    const { apic, setExternal } = setUp();
    setExternal(0x30);
    apic.message(MESSAGES, 0x700);
    assert.equal(apic.acknowledge(), 0x30);
    assert.equal(apic.acknowledge(), -1);
  });

  it('delivers LINT0 as a level until its wire falls', () => {
    const { apic, get, put } = setUp();
    put(LVT_LINT0, 0x8000 | 0x55);
    apic.lint0.set(true);
    assert.equal(apic.acknowledge(), 0x55);
    assert.equal(get(LVT_LINT0), 0xc055, 'remote IRR');
    put(EOI, 0);
    assert.equal(apic.acknowledge(), 0x55);
    apic.lint0.set(false);
    put(EOI, 0);
    assert.equal(apic.acknowledge(), -1);
    assert.equal(get(LVT_LINT0), 0x8055);
    put(LVT_LINT1, 0x56);
    apic.lint1.set(true);
    apic.lint1.set(true);
    assert.equal(apic.acknowledge(), 0x56);
    put(EOI, 0);
    assert.equal(apic.acknowledge(), -1);
  });

  it('matches physical, flat and cluster destinations', () => {
    const { apic, put } = setUp(3);
    const arrives = (destination: number, logical: boolean) => {
      apic.message(MESSAGES | (destination << 12) | (logical ? 4 : 0), 0x44);
      const taken = apic.acknowledge() === 0x44;
      if (taken) put(EOI, 0);
      return taken;
    };
    assert.equal(arrives(3, false), true);
    assert.equal(arrives(0xff, false), true);
    assert.equal(arrives(2, false), false);
    put(LDR, 0x04000000);
    assert.equal(arrives(0x0c, true), true);
    assert.equal(arrives(0x0b, true), false);
    put(DFR, 0x0fffffff);
    put(LDR, 0x24000000);
    assert.equal(arrives(0x24, true), true);
    assert.equal(arrives(0x14, true), false);
    assert.equal(arrives(0x2b, true), false);
    assert.equal(arrives(0xf4, true), true);
  });

  it('sends itself interrupts by every shorthand that includes it', () => {
    const { apic, get, put, log } = setUp(1);
    const arrives = (command: number, destination = 0) => {
      put(ICR_HIGH, destination << 24);
      put(ICR, command);
      assert.equal(get(ICR) & 0x1000, 0);
      const vector = apic.acknowledge();
      if (vector >= 0) put(EOI, 0);
      return vector;
    };
    assert.equal(arrives(0x40000 | 0x61), 0x61);
    assert.equal(arrives(0x80000 | 0x62), 0x62);
    assert.equal(arrives(0xc0000 | 0x63), -1);
    assert.equal(arrives(0x64, 1), 0x64);
    assert.equal(arrives(0x100 | 0x65, 1), 0x65, 'lowest priority');
    assert.equal(arrives(0x66, 2), -1);
    put(ICR, 0x80400);
    assert.equal(apic.takeNmi(), true);
    put(ICR_HIGH, 1 << 24);
    put(ICR, 0x8500); // INIT, level, de-assert
    assert.ok(!log.includes('init'));
    put(ICR, 0x4600 | 0x9a);
    assert.ok(log.includes('startup 154'));
    put(ICR, 0x4500);
    assert.ok(log.includes('init'));
    assert.equal(get(SVR), 0xff, 'INIT clears the APIC');
    assert.equal(get(ID), 0x01000000);
  });

  it('reports errors in ESR after a write of it, and by the error vector', () => {
    const { apic, get, put } = setUp();
    put(LVT_ERROR, 0xfe);
    put(ICR, 0x40005);
    assert.equal(get(ESR), 0);
    assert.equal(apic.acknowledge(), 0xfe);
    put(EOI, 0);
    put(ESR, 0);
    assert.equal(get(ESR), 0x20);
    apic.message(MESSAGES, 0x0f);
    get(0x3f0);
    put(ESR, 0);
    assert.equal(get(ESR), 0xc0);
    put(LVT_ERROR, 0x02);
    put(ICR, 0x40001);
    put(ESR, 0);
    assert.equal(get(ESR), 0x60, 'a bad error vector is an error too, once');
    put(ESR, 0);
    assert.equal(get(ESR), 0);
  });

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

  it('ignores narrow and misaligned stores', () => {
    const { apic, get } = setUp();
    apic.write(TPR, 1, 0x50);
    apic.write(TPR + 4, 4, 0x50);
    assert.equal(get(TPR), 0);
    assert.equal(get(TPR + 4), 0);
  });
});

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

  it('survives any sequence of register accesses and messages', () => {
    const step = fc.tuple(fc.nat(5), fc.nat(0x3ff), fc.nat(0xffffffff), fc.nat(1_000_000));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), fc.boolean(), (steps, extended) => {
        const { apic, clock } = extended ? x2() : setUp();
        for (const [kind, index, value, ns] of steps) {
          if (kind === 0) assert.ok(apic.read(index, 4) >= 0);
          else if (kind === 1) apic.write(index & ~0xf, 4, value);
          else if (kind === 2) apic.msrs.write(0x800 + (index & 0xff), BigInt(value));
          else if (kind === 3) assert.ok((apic.msrs.read(0x800 + (index & 0xff)) ?? 0n) >= 0n);
          else if (kind === 4) apic.message(MESSAGES + (index << 12), value);
          else {
            const expected = apic.pending();
            assert.equal(apic.acknowledge() >= 0, expected);
          }
          clock.step(ns);
        }
        apic.reset();
        assert.equal(apic.pending(), false);
        assert.equal(clock.alarms, 0);
      }),
    );
  });
});
