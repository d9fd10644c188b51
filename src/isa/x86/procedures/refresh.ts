/** Brings what is derived from the architectural registers up to date after they were written from outside. */
import { CPL, CR3, SEGMENT_STRIDE, SS_AT } from '../state.ts';
import { x86Procedure } from '../x86-builder.ts';
import { updateFpuBlocked } from './checks.ts';
import { updateBreakpoints } from './debug.ts';
import { loadPdptes, usesPae } from './paging.ts';
import { dplOf, isVirtual8086, segmentPart, setSegment } from './segments.ts';

export const refresh = x86Procedure({ name: 'refresh', parameters: [], results: [] }, (x) => {
  for (let n = 0; n < 8; n++) {
    const at = x.const('i32', n * SEGMENT_STRIDE);
    const part = (name: 'selector' | 'base' | 'limit' | 'access') => segmentPart(x, at, name);
    x.call(setSegment, at, part('selector'), part('base'), part('limit'), part('access'));
  }
  // The privilege level is that of SS (SDM vol. 3 §25.4.1); virtual-8086 mode has 3.
  x.set(CPL, x.select(isVirtual8086(x), x.const('i32', 3), dplOf(x, segmentPart(x, SS_AT, 'access'))));
  x.if(usesPae(x), () => x.call(loadPdptes, x.get(CR3)));
  x.call(updateFpuBlocked);
  x.call(updateBreakpoints);
  x.return();
});
