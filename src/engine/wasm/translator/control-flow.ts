/**
 * The control flow of a region: its blocks, and one switch over the places that computed jumps go to. Where an edge makes the graph
 * irreducible, a return into the middle of a loop for one, the region starts at the switch, so that no loop is entered but through it, and
 * such edges go through it as well.
 */
import { type Graph, type Structure, structureOf } from './structure.ts';

export interface ControlFlow {
  readonly structure: Structure;
  /** Where the region starts: its first block, or the switch. */
  readonly root: number;
  /** The blocks that the switch leads to. */
  readonly targets: readonly number[];
  /** The blocks that each block goes to through the switch, though it knows them. */
  readonly dispatched: readonly ReadonlySet<number>[];
}

/** `blocks`: where branches of each lead; `computed`: which end in computed jumps; `targets`: of those. The switch's number is the next. */
export function controlFlowOf(blocks: Graph, computed: readonly boolean[], targets: readonly number[]): ControlFlow {
  const node = blocks.length;
  const known = new Set(targets);
  const dispatched = blocks.map(() => new Set<number>());
  const build = (): Graph => [
    ...blocks.map((successors, n) => {
      const direct = successors.filter((s) => !dispatched[n].has(s));
      return (computed[n] && known.size > 0) || direct.length < successors.length ? [...direct, node] : direct;
    }),
    [...known],
  ];
  for (let root = 0; ; root = node) {
    if (root === node) known.add(0);
    const graph = build();
    const structure = structureOf(graph, root);
    let reducible = true;
    for (const [n, successors] of graph.entries()) {
      for (const s of successors) {
        if (structure.order[n] < 0 || !structure.isIrreducible(n, s)) continue;
        reducible = false;
        if (root === 0) break;
        dispatched[n].add(s);
        known.add(s);
      }
    }
    if (reducible) return { structure, root, targets: [...known], dispatched };
  }
}
