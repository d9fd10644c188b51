/** Permission to use I/O ports (SDM vol. 1 §19.5). */
import { VECTOR } from '../exceptions.ts';
import { BREAKPOINT, BREAKPOINTS, CPL, FLAGS_SYSTEM, TR_AT } from '../state.ts';
import { x86Procedure } from '../x86-builder.ts';
import { checkWatchedPorts } from './debug.ts';
import { isProtected, isSet, isVirtual8086, segmentPart } from './segments.ts';

/** Where a 32- or 64-bit TSS keeps the offset of its permission bitmap. */
const TSS_BITMAP_OFFSET = 0x66;

/** Port, bytes: #GP(0) unless CPL ≤ IOPL or the TSS's bitmap allows all of the ports. */
const checkPermission = x86Procedure(
  { name: 'checkPermission', parameters: ['i32', 'i32'], results: [], mayFault: true },
  (x, port, bytes) => {
    x.if(x.xor(isProtected(x), x.const('i1', 1)), () => x.return());
    const iopl = x.and(x.shrU(x.get(FLAGS_SYSTEM), 12), 3);
    const plain = x.and(x.leU(x.get(CPL), iopl), x.xor(isVirtual8086(x), x.const('i1', 1)));
    x.if(plain, () => x.return());
    const limit = segmentPart(x, TR_AT, 'limit');
    const base = segmentPart(x, TR_AT, 'base');
    const isWide = x.ne(x.and(segmentPart(x, TR_AT, 'access'), 8), 0);
    x.raiseIf(x.or(x.xor(isWide, x.const('i1', 1)), x.ltU(limit, TSS_BITMAP_OFFSET + 1)), VECTOR.GP, 0);
    const bitmap = x.zext(x.load('i16', x.add(base, TSS_BITMAP_OFFSET), 'supervisor'), 'i32');
    const at = x.add(bitmap, x.shrU(port, 3));
    x.raiseIf(x.ltU(limit, x.add(at, 1)), VECTOR.GP, 0);
    const bits = x.zext(x.load('i16', x.add(base, x.zext(at, 'i64')), 'supervisor'), 'i32');
    const wanted = x.sub(x.shl(x.const('i32', 1), bytes), 1);
    x.raiseIf(x.ne(x.and(x.shrU(bits, x.and(port, 7)), wanted), 0), VECTOR.GP, 0);
    x.return();
  },
);

/** As the last step before ports are used. Port, bytes: #GP(0) where they may not be, breakpoints of ports noted. */
export const checkPort = x86Procedure(
  { name: 'checkPort', parameters: ['i32', 'i32'], results: [], mayFault: true },
  (x, port, bytes) => {
    x.call(checkPermission, port, bytes);
    x.if(isSet(x, x.get(BREAKPOINTS), BREAKPOINT.io), () => x.call(checkWatchedPorts, port, bytes));
    x.return();
  },
);
