/** What every way to a handler has in common: the event, the frame's flags, the handler's code segment (SDM vol. 3 §6.12). */
import type { Value } from '../../ir/types.ts';
import { VECTOR } from '../exceptions.ts';
import { RFLAGS } from '../flags.ts';
import { CPL, CS_AT, DR6, FLAGS_OTHER, FLAGS_SYSTEM, RIP } from '../state.ts';
import type { X86Builder } from '../x86-builder.ts';
import { DR6_BITS, savedFlags } from './debug.ts';
import {
  dplOf,
  isClear,
  isSet,
  markAccessed,
  RIGHTS,
  readDescriptor,
  selectorCode,
  setSegment,
  unpackDescriptor,
} from './segments.ts';

/** What is delivered: bits of an event's second argument. */
export const EVENT = {
  /** INT n, INT3, INTO: the gate's privilege level counts. */
  software: 1,
  hasCode: 2,
  /** An external interrupt or a trap; its frame has RF as it was. */
  external: 4,
} as const;

export const not = (x: X86Builder, v: Value): Value => x.xor(v, x.const('i1', 1));

/** Faults set RF in their frame, but for instruction breakpoints, which leave that to their handler (SDM vol. 3 §18.3.1.1). */
export function setsResume(x: X86Builder, vector: Value, event: Value): Value {
  const isFault = isClear(x, event, EVENT.software | EVENT.external);
  const isBreakpoint = x.and(x.eq(vector, VECTOR.DB), isClear(x, x.get(DR6), DR6_BITS.BD));
  return x.and(isFault, not(x, isBreakpoint));
}
export function frameFlags(x: X86Builder, a: { vector: Value; event: Value; returnIp: Value }): Value {
  const resume = x.select(setsResume(x, a.vector, a.event), x.const('i32', RFLAGS.RF), 0);
  return x.or(savedFlags(x, a.returnIp), resume);
}

/** Entering a handler clears TF, NT, RF, VM; an interrupt gate IF too (SDM vol. 3 §6.12.1.3). */
export function clearFlags(x: X86Builder, interruptGate: Value): void {
  x.set(FLAGS_OTHER, x.and(x.get(FLAGS_OTHER), ~(RFLAGS.TF | RFLAGS.NT | RFLAGS.RF)));
  const system = x.and(x.get(FLAGS_SYSTEM), ~RFLAGS.VM);
  x.set(FLAGS_SYSTEM, x.select(interruptGate, x.and(system, ~RFLAGS.IF), system));
}

interface Handler {
  readonly selector: Value;
  readonly d: Value;
  readonly address: Value;
  readonly base: Value;
  readonly limit: Value;
  readonly access: Value;
  /** The level that it runs at. */
  readonly level: Value;
}

/** The handler's code segment, checked (SDM vol. 3 §6.12.1). */
export function handlerSegment(x: X86Builder, selector: Value, ext: Value): Handler {
  x.raiseIf(isClear(x, selector, 0xfffc), VECTOR.GP, ext);
  const [d, address] = x.call(readDescriptor, selector, ext);
  const { base, limit, access } = unpackDescriptor(x, d);
  const isCode = x.eq(x.and(access, RIGHTS.S | RIGHTS.code), RIGHTS.S | RIGHTS.code);
  const dpl = dplOf(x, access);
  x.raiseIf(x.or(not(x, isCode), x.ltU(x.get(CPL), dpl)), VECTOR.GP, selectorCode(x, selector, ext));
  x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.NP, selectorCode(x, selector, ext));
  const level = x.select(isSet(x, access, RIGHTS.conforming), x.get(CPL), dpl);
  return { selector, d, address, base, limit, access, level };
}

export function enterHandler(x: X86Builder, h: Handler, offset: Value): void {
  markAccessed(x, h.d, h.address);
  const selector = x.or(x.and(h.selector, 0xfffc), x.trunc(h.level, 'i16'));
  x.call(setSegment, x.const('i32', CS_AT), selector, h.base, h.limit, x.or(h.access, RIGHTS.accessed));
  x.set(CPL, h.level);
  x.set(RIP, offset);
}

/** EXT: bit 0 of error codes of faults met while delivering something that is not INT n. */
export const extOf = (x: X86Builder, event: Value): Value =>
  x.select(isSet(x, event, EVENT.software), x.const('i32', 0), 1);
/** The error code that names a gate of the IDT. */
export const gateCode = (x: X86Builder, vector: Value, ext: Value): Value => x.or(x.or(x.shl(vector, 3), 2), ext);
