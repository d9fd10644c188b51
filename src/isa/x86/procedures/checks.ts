/** Checks that rarely fail, out of the way of the instructions that make them. */
import { IrBuilder } from '../../ir/builder.ts';
import { procedure } from '../../ir/procedure.ts';
import type { Value } from '../../ir/types.ts';
import { CR0_BITS, CR4_BITS } from '../control-bits.ts';
import { VECTOR } from '../exceptions.ts';
import { CODE_SIZE, CR0, CR4, FPU_BLOCKED, FPU_GROUP, SEGMENT, SEGMENTS, SS_AT } from '../state.ts';

const make = (): IrBuilder => new IrBuilder();

const ACCESS_UNUSABLE = 1 << 16;
const ACCESS_BIG = 1 << 14;
const TYPE_CODE = 8;
const TYPE_READ_WRITE = 2;
const TYPE_EXPAND_DOWN = 4;

/**
 * An access that is not below the segment's plain limit: faults with #SS(0) or #GP(0), or returns for an expand-down segment (SDM vol. 3
 * §5.3, §5.5). Arguments: segment, offset, bytes, 1 for a write.
 */
export const checkSegment = procedure(
  make,
  { name: 'checkSegment', parameters: ['i32', 'i64', 'i32', 'i32'], results: [], mayFault: true },
  (x, segment, offset, bytes, write) => {
    const access = x.getAt(SEGMENTS, x.add(segment, SEGMENT.access), 'i32');
    const limit = x.zext(x.getAt(SEGMENTS, x.add(segment, SEGMENT.limit), 'i32'), 'i64');
    const isCode = x.ne(x.and(access, TYPE_CODE), 0);
    const readWrite = x.ne(x.and(access, TYPE_READ_WRITE), 0);
    const isWrite = x.ne(write, 0);
    const last = x.sub(x.add(offset, x.zext(bytes, 'i64')), 1);
    const top = x.select(x.ne(x.and(access, ACCESS_BIG), 0), x.const('i64', 0xffffffff), 0xffff);
    const typeFails = x.select(
      isCode,
      x.or(isWrite, x.eq(readWrite, x.const('i1', 0))),
      x.and(isWrite, x.eq(readWrite, x.const('i1', 0))),
    );
    const expandDown = x.and(x.eq(isCode, x.const('i1', 0)), x.ne(x.and(access, TYPE_EXPAND_DOWN), 0));
    const limitFails = x.select(expandDown, x.or(x.leU(offset, limit), x.ltU(top, last)), x.ltU(limit, last));
    const fails = x.or(x.ne(x.and(access, ACCESS_UNUSABLE), 0), x.or(typeFails, limitFails));
    x.if(fails, () => x.raise(x.select(x.eq(segment, SS_AT), x.const('i32', VECTOR.SS), VECTOR.GP), 0));
    x.return();
  },
);

/** #SS(0) where `bytes` bytes of the stack at a linear address do not all have canonical addresses. */
export const checkStackAddress = procedure(
  make,
  { name: 'checkStackAddress', parameters: ['i64', 'i32'], results: [], mayFault: true },
  (x, address, bytes) => {
    const isCanonical = (a: Value): Value => x.eq(x.shrS(x.shl(a, 16), 16), a);
    const last = x.sub(x.add(address, x.zext(bytes, 'i64')), 1);
    const fails = x.eq(x.and(isCanonical(address), isCanonical(last)), x.const('i1', 0));
    x.if(x.and(x.eq(x.get(CODE_SIZE), 64), fails), () => x.raise(VECTOR.SS, 0));
    x.return();
  },
);

/** Raises what a blocked group of `FPU_GROUP` has to: #UD before #NM. */
export const checkFpu = procedure(
  make,
  { name: 'checkFpu', parameters: ['i32'], results: [], mayFault: true },
  (x, group) => {
    const emulate = x.ne(x.and(x.get(CR0), CR0_BITS.EM), 0);
    const isX87 = x.eq(group, FPU_GROUP.x87);
    const noFxsr = x.and(x.eq(group, FPU_GROUP.sse), x.eq(x.and(x.get(CR4), CR4_BITS.OSFXSR), 0));
    const invalid = x.or(noFxsr, x.and(emulate, x.eq(isX87, x.const('i1', 0))));
    x.if(invalid, () => x.raise(VECTOR.UD));
    x.if(x.or(x.ne(x.and(x.get(CR0), CR0_BITS.TS), 0), emulate), () => x.raise(VECTOR.NM));
    x.return();
  },
);

/** FPU_BLOCKED follows CR0.EM, CR0.TS and CR4.OSFXSR. */
export const updateFpuBlocked = procedure(make, { name: 'updateFpuBlocked', parameters: [], results: [] }, (x) => {
  const isOn = (state: typeof CR0, bit: bigint) => x.ne(x.and(x.get(state), bit), 0);
  const blocked = x.or(isOn(CR0, CR0_BITS.TS), isOn(CR0, CR0_BITS.EM));
  const sse = x.or(blocked, x.eq(isOn(CR4, CR4_BITS.OSFXSR), x.const('i1', 0)));
  const common = x.select(blocked, x.const('i32', FPU_GROUP.x87 | FPU_GROUP.mmx), 0);
  x.set(FPU_BLOCKED, x.or(common, x.select(sse, x.const('i32', FPU_GROUP.sse), 0)));
  x.return();
});
