/** Exceptions and interrupts: from a vector to the handler's first instruction (SDM vol. 3 chapter 6). */
import type { Procedure, Value } from '../../ir/types.ts';
import { VECTOR } from '../exceptions.ts';
import { RFLAGS } from '../flags.ts';
import {
  BREAKPOINTS,
  CPL,
  CS_AT,
  DEBUG_PENDING,
  DELIVERING,
  DR6,
  DR7,
  FAULT,
  FAULT_CODE,
  FAULT_HAS_CODE,
  FAULT_VECTOR,
  FLAGS_OTHER,
  FLAGS_SYSTEM,
  HELD,
  IDTR_BASE,
  IDTR_LIMIT,
  NMI_BLOCKED,
  RETIRED_LIMIT,
  RF_IP,
  RIP,
  RSP,
  SS_AT,
  STACK_MASK,
  TR_AT,
  TRAP_ARMED,
  WAITING_FAULT,
} from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { DR6_BITS, DR7_GD, noteDebug, savedFlags } from './debug.ts';
import { innerStack, presentStack, pushOnto, type StackSegment, storeOnStack } from './handler-stack.ts';
import {
  dplOf,
  isClear,
  isLongMode,
  isProtected,
  isSet,
  isVirtual8086,
  markAccessed,
  modeChanged,
  RIGHTS,
  readDescriptor,
  segmentPart,
  selectorCode,
  setRealSegment,
  setSegment,
  unpackDescriptor,
} from './segments.ts';
import { TASK, taskSwitch } from './tasks.ts';

/** What is delivered: bits of an event's second argument. */
export const EVENT = {
  /** INT n, INT3, INTO: the gate's privilege level counts. */
  software: 1,
  hasCode: 2,
  /** An external interrupt or a trap; its frame has RF as it was. */
  external: 4,
} as const;

const not = (x: X86Builder, v: Value): Value => x.xor(v, x.const('i1', 1));

/** Faults set RF in their frame, but for instruction breakpoints, which leave that to their handler (SDM vol. 3 §18.3.1.1). */
function setsResume(x: X86Builder, vector: Value, event: Value): Value {
  const isFault = isClear(x, event, EVENT.software | EVENT.external);
  const isBreakpoint = x.and(x.eq(vector, VECTOR.DB), isClear(x, x.get(DR6), DR6_BITS.BD));
  return x.and(isFault, not(x, isBreakpoint));
}
function frameFlags(x: X86Builder, a: { vector: Value; event: Value; returnIp: Value }): Value {
  const resume = x.select(setsResume(x, a.vector, a.event), x.const('i32', RFLAGS.RF), 0);
  return x.or(savedFlags(x, a.returnIp), resume);
}

/** Entering a handler clears TF, NT, RF, VM; an interrupt gate IF too (SDM vol. 3 §6.12.1.3). */
function clearFlags(x: X86Builder, interruptGate: Value): void {
  x.set(FLAGS_OTHER, x.and(x.get(FLAGS_OTHER), ~(RFLAGS.TF | RFLAGS.NT | RFLAGS.RF)));
  const system = x.and(x.get(FLAGS_SYSTEM), ~RFLAGS.VM);
  x.set(FLAGS_SYSTEM, x.select(interruptGate, x.and(system, ~RFLAGS.IF), system));
}

/** Real mode: the vector table holds far pointers (SDM vol. 3 §20.1.4). Arguments: vector, return address. */
const deliverReal: Procedure = x86Procedure(
  { name: 'deliverReal', parameters: ['i32', 'i64'], results: [], mayFault: true },
  (x, vector, returnIp) => {
    const at = x.shl(vector, 2);
    x.raiseIf(x.ltU(x.get(IDTR_LIMIT), x.add(at, 3)), VECTOR.GP, x.or(x.shl(vector, 3), 2));
    const pointer = x.load('i32', x.add(x.get(IDTR_BASE), x.zext(at, 'i64')), 'supervisor');
    const flags = savedFlags(x, returnIp);
    const selector = segmentPart(x, CS_AT, 'selector');
    const words = [x.trunc(flags, 'i16'), selector, x.trunc(returnIp, 'i16')];
    for (const [i, word] of words.entries()) {
      x.store(x.stackAddress(x.sub(x.stackPointer(), (i + 1) * 2), 2, 'write'), word, 'supervisor');
    }
    x.setStackPointer(x.sub(x.stackPointer(), 6));
    clearFlags(x, x.const('i1', 1));
    x.set(FLAGS_OTHER, x.and(x.get(FLAGS_OTHER), ~RFLAGS.AC));
    x.call(setRealSegment, x.const('i32', CS_AT), x.trunc(x.shrU(pointer, 16), 'i16'));
    x.set(RIP, x.zext(x.and(pointer, 0xffff), 'i64'));
    x.call(modeChanged);

    x.return();
  },
);

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
function handlerSegment(x: X86Builder, selector: Value, ext: Value): Handler {
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

function enterHandler(x: X86Builder, h: Handler, offset: Value): void {
  markAccessed(x, h.d, h.address);
  const selector = x.or(x.and(h.selector, 0xfffc), x.trunc(h.level, 'i16'));
  x.call(setSegment, x.const('i32', CS_AT), selector, h.base, h.limit, x.or(h.access, RIGHTS.accessed));
  x.set(CPL, h.level);
  x.set(RIP, offset);
}

/** EXT: bit 0 of error codes of faults met while delivering something that is not INT n. */
const extOf = (x: X86Builder, event: Value): Value => x.select(isSet(x, event, EVENT.software), x.const('i32', 0), 1);
/** The error code that names a gate of the IDT. */
const gateCode = (x: X86Builder, vector: Value, ext: Value): Value => x.or(x.or(x.shl(vector, 3), 2), ext);

/** 64-bit mode (SDM vol. 3 §6.14). Arguments: vector, event, error code, return address. */
const deliverLong: Procedure = x86Procedure(
  { name: 'deliverLong', parameters: ['i32', 'i32', 'i32', 'i64'], results: [], mayFault: true },
  (x, vector, event, code, returnIp) => {
    const ext = extOf(x, event);
    const gate = gateCode(x, vector, ext);
    const at = x.shl(vector, 4);
    x.raiseIf(x.ltU(x.get(IDTR_LIMIT), x.or(at, 15)), VECTOR.GP, gate);
    const address = x.add(x.get(IDTR_BASE), x.zext(at, 'i64'));
    const low = x.load('i64', address, 'supervisor');
    const high = x.load('i64', x.add(address, 8), 'supervisor');
    const access = x.trunc(x.shrU(low, 40), 'i32');
    x.raiseIf(x.ne(x.and(access, 0x1e), 0xe), VECTOR.GP, gate);
    x.raiseIf(x.and(isSet(x, event, EVENT.software), x.ltU(dplOf(x, access), x.get(CPL))), VECTOR.GP, gate);
    x.raiseIf(isClear(x, access, RIGHTS.P), VECTOR.NP, gate);
    const handler = handlerSegment(x, x.trunc(x.shrU(low, 16), 'i16'), ext);
    x.raiseIf(
      x.ne(x.and(handler.access, RIGHTS.L | RIGHTS.DB), RIGHTS.L),
      VECTOR.GP,
      selectorCode(x, handler.selector, ext),
    );
    const inner = x.ltU(handler.level, x.get(CPL));
    const { level } = handler;
    const stack = longStack(x, handler.level, inner, x.and(x.trunc(x.shrU(low, 32), 'i32'), 7), ext);
    const frame: Value[] = [
      x.zext(segmentPart(x, SS_AT, 'selector'), 'i64'),
      x.get(RSP),
      x.zext(frameFlags(x, { vector, event, returnIp }), 'i64'),
      x.zext(segmentPart(x, CS_AT, 'selector'), 'i64'),
      returnIp,
    ];
    const inside = x.and(x.isCanonical(x.sub(stack, 8)), x.isCanonical(x.sub(stack, 48)));
    x.raiseIf(not(x, inside), VECTOR.SS, ext);
    for (const [i, word] of frame.entries()) storeOnStack(x, level, x.sub(stack, (i + 1) * 8), word);
    const hasCode = isSet(x, event, EVENT.hasCode);
    x.if(hasCode, () => storeOnStack(x, level, x.sub(stack, 48), x.zext(code, 'i64')));
    const offset = x.or(x.or(x.and(low, 0xffff), x.shl(x.shrU(low, 48), 16)), x.shl(high, 32));
    x.checkCanonical(offset);
    x.if(inner, () => {
      const selector = x.trunc(handler.level, 'i16');
      const unusable = x.or(x.const('i32', RIGHTS.unusable), x.shl(handler.level, 5));
      x.call(setSegment, x.const('i32', SS_AT), selector, x.const('i64', 0), x.const('i32', 0), unusable);
    });
    enterHandler(x, handler, offset);
    x.set(RSP, x.sub(stack, x.select(hasCode, x.const('i64', 48), 40)));
    clearFlags(x, x.eq(x.and(access, 1), 0));
    x.call(modeChanged);
    x.return();
  },
);

/** The handler's stack pointer, aligned: from the interrupt stack table, the TSS's RSPn, or as it is (SDM vol. 3 §6.14.2–6.14.5). */
function longStack(x: X86Builder, level: Value, inner: Value, ist: Value, ext: Value): Value {
  const usesIst = x.ne(ist, 0);
  const at = x.select(usesIst, x.add(x.shl(ist, 3), 0x1c), x.add(x.shl(level, 3), 4));
  const pointer = x.variable(x.get(RSP));
  x.if(x.or(usesIst, inner), () => {
    const tr = selectorCode(x, segmentPart(x, TR_AT, 'selector'), ext);
    x.raiseIf(x.ltU(segmentPart(x, TR_AT, 'limit'), x.add(at, 7)), VECTOR.TS, tr);
    const rsp = x.load('i64', x.add(segmentPart(x, TR_AT, 'base'), x.zext(at, 'i64')), 'supervisor');
    x.raiseIf(not(x, x.isCanonical(rsp)), VECTOR.SS, ext);
    pointer.set(rsp);
  });
  return x.and(pointer.get(), ~0xfn);
}

/** Legacy protected mode through a 16- or 32-bit gate: the frame and the new stack (SDM vol. 3 §6.12.1). */
function deliverThroughGate(
  x: X86Builder,
  type: 'i16' | 'i32',
  a: { vector: Value; event: Value; code: Value; returnIp: Value; gate: Value; gateAccess: Value },
): void {
  const ext = extOf(x, a.event);
  const handler = handlerSegment(x, x.trunc(x.shrU(a.gate, 16), 'i16'), ext);
  const virtual = isVirtual8086(x);
  x.raiseIf(x.and(virtual, x.ne(handler.level, 0)), VECTOR.GP, selectorCode(x, handler.selector, ext));
  const low = x.and(a.gate, 0xffff);
  const offset = type === 'i16' ? low : x.or(low, x.and(x.shrU(a.gate, 32), 0xffff0000n));
  x.raiseIf(x.ltU(x.zext(handler.limit, 'i64'), offset), VECTOR.GP, ext);
  const hasCode = isSet(x, a.event, EVENT.hasCode);
  const word = (v: Value): Value => x.zext(v, 'i64');
  const common = [word(frameFlags(x, a)), word(segmentPart(x, CS_AT, 'selector')), a.returnIp];
  const finish = (pointer: Value, stack: StackSegment): Value => {
    const result = x.variable(pointer);
    x.if(hasCode, () => result.set(pushOnto(x, { ...stack, pointer }, [word(a.code)], type)));
    return result.get();
  };
  const enter = (): void => {
    enterHandler(x, handler, offset);
    clearFlags(x, x.eq(x.and(a.gateAccess, 1), 0));
    x.call(modeChanged);
    x.return();
  };
  x.if(
    x.ltU(handler.level, x.get(CPL)),
    () => {
      const stack = innerStack(x, handler.level, ext);
      const old = [word(segmentPart(x, SS_AT, 'selector')), x.get(RSP)];
      const pointer = x.variable(stack.pointer);
      x.if(virtual, () => {
        const data = [5, 4, 3, 0].map((n) => word(segmentPart(x, n * CS_AT, 'selector')));
        pointer.set(pushOnto(x, stack, data, type));
      });
      const frame = pushOnto(x, { ...stack, pointer: pointer.get() }, [...old, ...common], type);
      const bottom = finish(frame, stack);
      x.if(virtual, () => {
        for (const n of [5, 4, 3, 0]) {
          x.call(
            setSegment,
            x.const('i32', n * CS_AT),
            x.const('i16', 0),
            x.const('i64', 0),
            x.const('i32', 0),
            x.const('i32', RIGHTS.unusable),
          );
        }
      });
      x.call(
        setSegment,
        x.const('i32', SS_AT),
        stack.selector,
        stack.base,
        stack.limit,
        x.or(stack.access, RIGHTS.accessed),
      );
      x.set(RSP, bottom);
      enter();
    },
    () => {
      const stack = presentStack(x, ext);
      const frame = pushOnto(x, { ...stack, pointer: x.get(RSP) }, common, type);
      const mask = x.get(STACK_MASK);
      const bottom = finish(frame, stack);
      x.set(RSP, x.or(x.and(x.get(RSP), x.not(mask)), x.and(bottom, mask)));
      enter();
    },
  );
}

/** An exception's error code on the stack of the task that handles it. Code, EXT. */
const pushTaskCode: Procedure = x86Procedure(
  { name: 'pushTaskCode', parameters: ['i32', 'i32'], results: [], mayFault: true },
  (x, code, ext) => {
    // The new task may have met an exception of its own, which comes first.
    x.if(x.ne(x.get(WAITING_FAULT), 0), () => x.return());
    const push = (type: 'i16' | 'i32'): void => {
      const stack = { ...presentStack(x, ext), pointer: x.get(RSP) };
      const mask = x.get(STACK_MASK);
      const bottom = pushOnto(x, stack, [x.zext(code, 'i64')], type);
      x.set(RSP, x.or(x.and(x.get(RSP), x.not(mask)), bottom));
    };
    x.if(
      isSet(x, segmentPart(x, TR_AT, 'access'), 8),
      () => push('i32'),
      () => push('i16'),
    );
    x.return();
  },
);

/** Legacy protected and virtual-8086 mode. Arguments: vector, event, error code, return address. */
const deliverProtected: Procedure = x86Procedure(
  { name: 'deliverProtected', parameters: ['i32', 'i32', 'i32', 'i64'], results: [], mayFault: true },
  (x, vector, event, code, returnIp) => {
    const name = gateCode(x, vector, extOf(x, event));
    const at = x.shl(vector, 3);
    x.raiseIf(x.ltU(x.get(IDTR_LIMIT), x.or(at, 7)), VECTOR.GP, name);
    const gate = x.load('i64', x.add(x.get(IDTR_BASE), x.zext(at, 'i64')), 'supervisor');
    const gateAccess = x.trunc(x.shrU(gate, 40), 'i32');
    const kind = x.and(gateAccess, 0x1f);
    const isTask = x.eq(kind, 5);
    const isGate = x.or(x.eq(x.and(kind, 0x1e), 6), x.eq(x.and(kind, 0x1e), 0xe));
    x.raiseIf(not(x, x.or(isTask, isGate)), VECTOR.GP, name);
    x.raiseIf(x.and(isSet(x, event, EVENT.software), x.ltU(dplOf(x, gateAccess), x.get(CPL))), VECTOR.GP, name);
    x.raiseIf(isClear(x, gateAccess, RIGHTS.P), VECTOR.NP, name);
    x.if(isTask, () => {
      x.if(setsResume(x, vector, event), () => {
        x.set(FLAGS_OTHER, x.or(x.get(FLAGS_OTHER), RFLAGS.RF));
        x.set(RF_IP, returnIp);
      });
      x.call(taskSwitch, x.trunc(x.shrU(gate, 16), 'i16'), x.const('i32', TASK.call), returnIp, extOf(x, event));
      x.if(isSet(x, event, EVENT.hasCode), () => x.call(pushTaskCode, code, extOf(x, event)));
      x.return();
    });
    const parts = { vector, event, code, returnIp, gate, gateAccess };
    x.if(
      isSet(x, kind, 8),
      () => deliverThroughGate(x, 'i32', parts),
      () => deliverThroughGate(x, 'i16', parts),
    );
  },
);

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
