/** Exceptions and interrupts in real, virtual-8086 and legacy protected mode (SDM vol. 3 §6.12, 20.1.4). */
import type { Procedure, Value } from '../../ir/types.ts';
import { VECTOR } from '../exceptions.ts';
import { RFLAGS } from '../flags.ts';
import {
  CPL,
  CS_AT,
  FLAGS_OTHER,
  IDTR_BASE,
  IDTR_LIMIT,
  RF_IP,
  RIP,
  RSP,
  SS_AT,
  STACK_MASK,
  TR_AT,
  WAITING_FAULT,
} from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { savedFlags } from './debug.ts';
import {
  clearFlags,
  EVENT,
  enterHandler,
  extOf,
  frameFlags,
  gateCode,
  handlerSegment,
  not,
  setsResume,
} from './handler-entry.ts';
import { enterStack, innerStack, presentStack, pushOnto, type StackSegment } from './handler-stack.ts';
import {
  dplOf,
  isClear,
  isSet,
  isVirtual8086,
  modeChanged,
  RIGHTS,
  segmentPart,
  selectorCode,
  setRealSegment,
  setSegment,
} from './segments.ts';
import { TASK, taskSwitch } from './tasks.ts';

/** Real mode: the vector table holds far pointers (SDM vol. 3 §20.1.4). Arguments: vector, return address. */
export const deliverReal: Procedure = x86Procedure(
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
      enterStack(x, stack, bottom);
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
export const deliverProtected: Procedure = x86Procedure(
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
