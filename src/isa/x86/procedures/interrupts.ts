/** Exceptions and interrupts: from a vector to the handler's first instruction (SDM vol. 3 chapter 6). */
import type { Procedure, Value } from '../../ir/types.ts';
import { VECTOR } from '../exceptions.ts';
import {
  BREAKPOINTS,
  DEBUG_PENDING,
  DELIVERING,
  DR7,
  FAULT,
  FAULT_CODE,
  FAULT_HAS_CODE,
  FAULT_VECTOR,
  HELD,
  NMI_BLOCKED,
  RETIRED_LIMIT,
  RIP,
  TRAP_ARMED,
  WAITING_FAULT,
} from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { DR7_GD, noteDebug } from './debug.ts';
import { deliverProtected, deliverReal } from './deliver-legacy.ts';
import { deliverLong } from './deliver-long.ts';
import { EVENT, not } from './handler-entry.ts';
import { isClear, isLongMode, isProtected } from './segments.ts';

/** On the way to a handler a single-step trap is forgotten, and MOV to debug registers allowed again for that of #DB. */
function settleDebug(x: X86Builder, vector: Value, event: Value): void {
  const steps = x.or(x.or(x.get(TRAP_ARMED), x.get(BREAKPOINTS)), x.get(DEBUG_PENDING));
  x.if(x.ne(steps, 0), () => x.set(RETIRED_LIMIT, 0));
  x.set(TRAP_ARMED, 0);
  x.set(DEBUG_PENDING, x.and(x.get(DEBUG_PENDING), 0xf));
  x.set(HELD, 0);
  x.if(x.and(x.eq(vector, VECTOR.DB), isClear(x, event, EVENT.software)), () => {
    x.set(DR7, x.and(x.get(DR7), ~DR7_GD));
  });
}

/** Goes to the handler of a vector. Arguments: vector, `EVENT` bits, error code, return address. Faults on its own account. */
export const deliver: Procedure = x86Procedure(
  { name: 'deliver', parameters: ['i32', 'i32', 'i32', 'i64'], results: [], mayFault: true },
  (x, vector, event, code, returnIp) => {
    settleDebug(x, vector, event);
    x.if(not(x, isProtected(x)), () => {
      x.call(deliverReal, vector, returnIp);
      x.return();
    });
    x.if(isLongMode(x), () => {
      x.call(deliverLong, vector, event, code, returnIp);
      x.return();
    });
    x.call(deliverProtected, vector, event, code, returnIp);
    x.return();
  },
);

/** 0 benign, 1 contributory, 2 page fault, 3 double fault (SDM vol. 3 table 6-4). */
function classOf(x: X86Builder, vector: Value): Value {
  const is = (v: number): Value => x.eq(vector, v);
  const contributory = x.or(is(VECTOR.DE), x.and(x.leU(x.const('i32', VECTOR.TS), vector), x.leU(vector, VECTOR.GP)));
  const plain = x.select(contributory, x.const('i32', 1), 0);
  return x.select(is(VECTOR.PF), x.const('i32', 2), x.select(is(VECTOR.DF), x.const('i32', 3), plain));
}

/** Delivers the noted exception at RIP, turning faults met meanwhile into double faults. Result: 1 for shutdown (a triple fault). */
export const deliverFault: Procedure = x86Procedure({ name: 'deliverFault', parameters: [], results: ['i32'] }, (x) => {
  x.loop(() => {
    x.set(FAULT, 0);
    const before = x.get(DELIVERING);
    x.if(x.eq(before, 3), () => {
      x.set(DELIVERING, 0);
      x.return(x.const('i32', 1));
    });
    const first = classOf(x, x.get(FAULT_VECTOR));
    const contributory = x.and(x.eq(before, 1), x.eq(first, 1));
    const afterPageFault = x.and(x.eq(before, 2), x.ne(first, 0));
    x.if(x.or(contributory, afterPageFault), () => {
      x.set(FAULT_VECTOR, VECTOR.DF);
      x.set(FAULT_HAS_CODE, 1);
      x.set(FAULT_CODE, 0);
    });
    const vector = x.get(FAULT_VECTOR);
    x.set(DELIVERING, classOf(x, vector));
    const event = x.select(x.ne(x.get(FAULT_HAS_CODE), 0), x.const('i32', EVENT.hasCode), 0);
    x.callGuarded(deliver, vector, event, x.get(FAULT_CODE), x.get(RIP));
    x.breakIf(x.eq(x.get(FAULT), 0));
  });
  x.set(DELIVERING, 0);
  x.return(x.const('i32', 0));
});

/** The exception that a task switch left to the new task, between instructions. Result: 1 for shutdown. */
export const deliverWaitingFault: Procedure = x86Procedure(
  { name: 'deliverWaitingFault', parameters: [], results: ['i32'] },
  (x) => {
    const waiting = x.get(WAITING_FAULT);
    x.set(WAITING_FAULT, 0);
    x.set(FAULT_CODE, x.trunc(waiting, 'i32'));
    x.set(FAULT_VECTOR, x.and(x.trunc(x.shrU(waiting, 32), 'i32'), 0xff));
    x.set(FAULT_HAS_CODE, x.trunc(x.shrU(waiting, 40), 'i32'));
    x.return(...x.call(deliverFault));
  },
);

/** The debug traps that wait, between instructions. Result: 1 for shutdown. */
export const deliverDebugTrap: Procedure = x86Procedure(
  { name: 'deliverDebugTrap', parameters: [], results: ['i32'] },
  (x) => {
    noteDebug(x, x.const('i32', 0));
    x.return(...x.call(deliverInterrupt, x.const('i32', VECTOR.DB)));
  },
);

/** A non-maskable interrupt between instructions: further ones wait for IRET. Result: 1 for shutdown. */
export const deliverNmi: Procedure = x86Procedure({ name: 'deliverNmi', parameters: [], results: ['i32'] }, (x) => {
  x.set(NMI_BLOCKED, 1);
  x.return(...x.call(deliverInterrupt, x.const('i32', VECTOR.NMI)));
});

/** An external interrupt between instructions. Argument: vector. Result: 1 for shutdown. */
export const deliverInterrupt: Procedure = x86Procedure(
  { name: 'deliverInterrupt', parameters: ['i32'], results: ['i32'] },
  (x, vector) => {
    x.callGuarded(deliver, vector, x.const('i32', EVENT.external), x.const('i32', 0), x.get(RIP));
    x.if(x.eq(x.get(FAULT), 0), () => x.return(x.const('i32', 0)));
    x.return(...x.call(deliverFault));
  },
);
