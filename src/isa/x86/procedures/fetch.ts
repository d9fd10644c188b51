/** Where instructions come from. */
import { VECTOR } from '../exceptions.ts';
import { CODE_SIZE, CPL, CS_AT, FETCH_INFO, FETCH_PHYSICAL, RIP } from '../state.ts';
import { x86Procedure } from '../x86-builder.ts';
import { ACCESS, translate } from './paging.ts';
import { segmentPart } from './segments.ts';

/** Translates the instruction pointer plus a distance in bytes for fetching, into FETCH_PHYSICAL; faults as the fetch does. */
export const translateFetch = x86Procedure(
  { name: 'translateFetch', parameters: ['i32'], results: [], mayFault: true },
  (x, distance) => {
    const ip = x.add(x.get(RIP), x.zext(distance, 'i64'));
    const long = x.eq(x.get(CODE_SIZE), 64);
    const limit = x.zext(segmentPart(x, CS_AT, 'limit'), 'i64');
    x.raiseIf(x.and(x.xor(long, x.const('i1', 1)), x.ltU(limit, ip)), VECTOR.GP, 0);
    const linear = x.select(long, ip, x.and(x.add(segmentPart(x, CS_AT, 'base'), ip), 0xffffffffn));
    const user = x.select(x.eq(x.get(CPL), 3), x.const('i32', ACCESS.user), 0);
    const [physical, info] = x.call(translate, linear, x.or(user, ACCESS.fetch));
    x.set(FETCH_PHYSICAL, physical);
    x.set(FETCH_INFO, info);
    x.return();
  },
);

/** #GP(0) where an instruction of so many bytes goes beyond the code segment. */
export const checkFetchEnd = x86Procedure(
  { name: 'checkFetchEnd', parameters: ['i32'], results: [], mayFault: true },
  (x, length) => {
    const last = x.sub(x.add(x.get(RIP), x.zext(length, 'i64')), 1);
    const beyond = x.ltU(x.zext(segmentPart(x, CS_AT, 'limit'), 'i64'), last);
    x.raiseIf(x.and(x.ne(x.get(CODE_SIZE), 64), beyond), VECTOR.GP, 0);
    x.return();
  },
);
