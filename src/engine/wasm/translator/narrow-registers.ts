/**
 * General registers that are known to have nothing in their upper half, as instructions of 32 bits leave them: moves and logic on 32 bits
 * take such registers whole. Otherwise the host's compiler has two values alive for each, the register and its lower half, and keeps more of
 * a loop's values in memory.
 */
import type { Statement, Value } from '../../../isa/ir/types.ts';
import { GPR } from '../../../isa/x86/state.ts';
import type { ControlFlow, FlowNode } from './control-flow.ts';
import type { RegionBlock } from './region-block.ts';
import { isGeneral, registersOf, registersTouched } from './registers-used.ts';

/** What statements do to upper halves: registers as bits. */
export interface Narrowing {
  /** Zero behind them where it is kept as well. */
  readonly cleared: number;
  /** Written with nothing but zeros, if at all. */
  readonly kept: number;
}
type Changing = { -readonly [K in keyof Narrowing]: Narrowing[K] };

/** The bit of a register by its offset; 0 for one that is no general register. */
export const bitOf = (offset: number): number => (isGeneral(offset) ? 1 << ((offset - GPR.offset) / 8) : 0);
const bitsOf = (offsets: readonly number[]): number => offsets.reduce((bits, offset) => bits | bitOf(offset), 0);

const isNarrow = (v: Value): boolean =>
  v.kind === 'const' ? v.value < 2n ** 32n : v.kind === 'op' && v.op.startsWith('zext.');

/** `statements`: of one instruction; `surely`: they happen whenever it does. What they do is added to `all`. */
export function narrowingOf(
  statements: readonly Statement[],
  all: Changing = { cleared: 0, kept: -1 },
  surely = true,
): Narrowing {
  let happens = surely;
  for (const s of statements) {
    if (s.kind === 'if' || s.kind === 'loop') {
      // The block may have been left in there, as by REP without a count.
      happens = false;
      for (const list of s.kind === 'if' ? [s.consequent, s.alternate] : [s.body]) narrowingOf(list, all, false);
    } else if (s.kind === 'call') all.kept &= ~bitsOf(registersTouched(s.target).written);
    // Narrower writes keep what is above.
    else if ((s.kind === 'set' || s.kind === 'setAt') && s.value.type === 'i64') {
      const offsets = s.kind === 'set' ? [s.state.offset] : registersOf(s.file, s.at);
      if (!isNarrow(s.value)) all.kept &= ~bitsOf(offsets);
      else if (happens && offsets.length === 1) all.cleared |= bitsOf(offsets);
    }
  }
  return all;
}
/** Which registers are narrow behind an instruction. */
export const narrowBehind = (before: number, { cleared, kept }: Narrowing): number => (before | cleared) & kept;

/** Which registers are narrow where each block starts: none are known to be where the region is entered, nor behind the switch. */
export function narrowAt(
  blocks: readonly RegionBlock[],
  nodes: readonly FlowNode[],
  { root, targets }: ControlFlow,
): readonly number[] {
  const at: number[] = blocks.map((_, n) => (n === root || targets.includes(n) ? 0 : -1));
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = 0; n < blocks.length; n++) {
      const behind = blocks[n].instructions.reduce((before, { narrowing }) => narrowBehind(before, narrowing), at[n]);
      for (const s of nodes[n].successors) {
        changed ||= (at[s] & ~behind) !== 0;
        at[s] &= behind;
      }
    }
  }
  return at;
}
