/**
 * Short loops, which regions have several rounds of, one behind the other: the limit of instructions, and V8's of its stack, is looked at
 * once for all of them.
 */
import type { Graph, Structure } from './structure.ts';

/** Rounds of each, and instructions of one: of longer loops these looks are a small part, and more code does not pay. */
export const ROUNDS = 4;
const MAX_LENGTH = 6;
/** Instructions that all additional rounds of a region have together. */
export const MAX_MORE = 256;

/**
 * The innermost loops of one way back that are short enough: their blocks, by their headers. `lengths`: of each node in instructions,
 * undefined where it cannot be part of such a loop.
 */
export function smallLoops(
  graph: Graph,
  { order, isLoopHeader }: Structure,
  lengths: readonly (number | undefined)[],
): ReadonlyMap<number, ReadonlySet<number>> {
  const predecessors: number[][] = graph.map(() => []);
  for (let n = 0; n < graph.length; n++) if (order[n] >= 0) for (const s of graph[n]) predecessors[s].push(n);
  const lengthOf = (n: number): number => lengths[n] ?? Number.POSITIVE_INFINITY;
  const loops = new Map<number, ReadonlySet<number>>();
  let more = 0;
  for (let header = 0; header < graph.length; header++) {
    if (!isLoopHeader[header]) continue;
    const latches = predecessors[header].filter((n) => order[n] >= order[header]);
    if (latches.length !== 1) continue;
    const members = new Set([header]);
    let length = lengthOf(header);
    for (const queue = latches; queue.length > 0 && length <= MAX_LENGTH; ) {
      const n = queue.pop()!;
      if (members.has(n)) continue;
      members.add(n);
      length += isLoopHeader[n] ? Number.POSITIVE_INFINITY : lengthOf(n);
      queue.push(...predecessors[n]);
    }
    if (length > MAX_LENGTH || more + (ROUNDS - 1) * length > MAX_MORE) continue;
    more += (ROUNDS - 1) * length;
    loops.set(header, members);
  }
  return loops;
}

/**
 * The graph where what follows such a loop is reached from its header, more than once: it comes behind the rounds then, not in each of
 * them.
 */
export function withCommonEnds(graph: Graph, loops: ReadonlyMap<number, ReadonlySet<number>>): Graph {
  const ends = [...graph];
  for (const [header, members] of loops) {
    const outside = [...members].flatMap((n) => graph[n].filter((s) => !members.has(s)));
    // Visited first, they come last: each round leads to what lies behind all of them.
    ends[header] = [...outside, ...outside, ...graph[header]];
  }
  return ends;
}
