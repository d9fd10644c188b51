import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  BASE,
  DFR,
  EOI,
  ESR,
  ICR,
  ICR_HIGH,
  ID,
  IRR,
  ISR,
  LDR,
  LVT_ERROR,
  LVT_LINT0,
  LVT_LINT1,
  LVT_TIMER,
  MESSAGES,
  PPR,
  SVR,
  setUp,
  TMR,
  TPR,
  VERSION,
  x2,
} from '../../test/support/local-apic.ts';
import type { InterruptSource, MsrSpace } from '../engine/engine.ts';

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

  it('ignores narrow and misaligned stores', () => {
    const { apic, get } = setUp();
    apic.write(TPR, 1, 0x50);
    apic.write(TPR + 4, 4, 0x50);
    assert.equal(get(TPR), 0);
    assert.equal(get(TPR + 4), 0);
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
