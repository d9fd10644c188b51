/** A local APIC by itself, for tests: its registers' places, and ways to use them. */
import assert from 'node:assert/strict';
import { LocalApic } from '../../src/devices/local-apic.ts';
import { SteppedClock } from './stepped-clock.ts';

export const ID = 0x20;
export const VERSION = 0x30;
export const TPR = 0x80;
export const PPR = 0xa0;
export const EOI = 0xb0;
export const LDR = 0xd0;
export const DFR = 0xe0;
export const SVR = 0xf0;
export const ISR = 0x100;
export const TMR = 0x180;
export const IRR = 0x200;
export const ESR = 0x280;
export const ICR = 0x300;
export const ICR_HIGH = 0x310;
export const LVT_TIMER = 0x320;
export const LVT_LINT0 = 0x350;
export const LVT_LINT1 = 0x360;
export const LVT_ERROR = 0x370;
export const INITIAL = 0x380;
export const CURRENT = 0x390;
export const DIVIDE = 0x3e0;

export const BASE = 0x1b;
export const TSC_DEADLINE = 0x6e0;
export const MESSAGES = 0xfee00000;

/** A local APIC that is enabled, and what it tells its surroundings. */
export function setUp(id = 0) {
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

/** The same in x2APIC mode. */
export function x2(id = 0) {
  const machine = setUp(id);
  assert.equal(machine.apic.msrs.write(BASE, 0xfee00c00n), true);
  return machine;
}
