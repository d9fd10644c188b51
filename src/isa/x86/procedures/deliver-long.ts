/** Exceptions and interrupts in 64-bit mode (SDM vol. 3 §6.14). */
import type { Procedure, Value } from '../../ir/types.ts';
import { VECTOR } from '../exceptions.ts';
import { CPL, CS_AT, IDTR_BASE, IDTR_LIMIT, RSP, SS_AT, TR_AT } from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { clearFlags, EVENT, enterHandler, extOf, frameFlags, gateCode, handlerSegment, not } from './handler-entry.ts';
import { setNullStack, storeOnStack } from './handler-stack.ts';
import { dplOf, isClear, isSet, modeChanged, RIGHTS, segmentPart, selectorCode } from './segments.ts';

/** 64-bit mode (SDM vol. 3 §6.14). Arguments: vector, event, error code, return address. */
export const deliverLong: Procedure = x86Procedure(
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
    x.if(inner, () => setNullStack(x, level));
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
