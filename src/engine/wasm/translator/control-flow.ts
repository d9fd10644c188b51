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

const NONE: ReadonlySet<number> = new Set();

/** `blocks`: where branches of each lead; `computed`: which end in computed jumps; `targets`: of those. The switch's number is the next. */
export function controlFlowOf(blocks: Graph, computed: readonly boolean[], targets: readonly number[]): ControlFlow {
  const node = blocks.length;
  const known = new Set(targets);
  const dispatched: ReadonlySet<number>[] = new Array(node).fill(NONE);
  for (let root = 0; ; root = node) {
    if (root === node) known.add(0);
    const graph = graphOf(blocks, computed, known, dispatched);
    const structure = structureOf(graph, root);
    let reducible = true;
    for (let n = 0; n < graph.length; n++) {
      if (structure.order[n] < 0) continue;
      for (const s of graph[n]) {
        if (!structure.isIrreducible(n, s)) continue;
        reducible = false;
        if (root === 0) break;
        dispatched[n] = new Set(dispatched[n]).add(s);
        known.add(s);
      }
    }
    if (reducible) return { structure, root, targets: [...known], dispatched };
  }
}

/** The blocks, and the switch that leads to `known`. */
function graphOf(
  blocks: Graph,
  computed: readonly boolean[],
  known: ReadonlySet<number>,
  dispatched: readonly ReadonlySet<number>[],
): Graph {
  const graph: (readonly number[])[] = [];
  for (let n = 0; n < blocks.length; n++) {
    const through = dispatched[n];
    const direct = through.size === 0 ? blocks[n] : blocks[n].filter((s) => !through.has(s));
    const switches = (computed[n] && known.size > 0) || direct.length < blocks[n].length;
    graph.push(switches ? [...direct, blocks.length] : direct);
  }
  graph.push([...known]);
  return graph;
}
