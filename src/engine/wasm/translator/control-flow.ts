/**
 * The control flow of a region: its blocks, and one switch over the places that computed jumps go to. Where an edge makes the graph
 * irreducible, a return into the middle of a loop for one, the region starts at the switch, so that no loop is entered but through it, and
 * such edges go through it as well.
 */
import type { Region } from './region.ts';
import { isComputed, type RegionBlock } from './region-block.ts';
import { smallLoops, withCommonEnds } from './small-loops.ts';
import { type Graph, type Structure, structureOf } from './structure.ts';

export interface ControlFlow {
  /** Where each block, and the switch, leads. */
  readonly graph: Graph;
  readonly structure: Structure;
  /** Where the region starts: its first block, or the switch. */
  readonly root: number;
  /** The blocks that the switch leads to. */
  readonly targets: readonly number[];
  /** The blocks that each block goes to through the switch, though it knows them. */
  readonly dispatched: readonly ReadonlySet<number>[];
  /** The loops whose rounds are written out: their blocks, by their headers. */
  readonly loops: ReadonlyMap<number, ReadonlySet<number>>;
}

/** What a region's control flow follows from. */
export interface FlowNode {
  /** Where its branches lead, and computed jumps that are compared with known places. */
  readonly successors: readonly number[];
  /** It ends in a computed jump through the switch. */
  readonly computed: boolean;
  /** In instructions; undefined where no loop with it may have its rounds written out. */
  readonly length: number | undefined;
}

const NONE: ReadonlySet<number> = new Set();

/** A loop with this block may have its rounds written out. */
function mayRepeat({ instructions, taken, offset, attends }: RegionBlock): boolean {
  // One instruction that goes back to itself has a REP prefix.
  return !attends && !(taken === offset && instructions.length === 1);
}

/** The blocks of a region as nodes, and the targets of its computed jumps. */
export function nodesOf({ blocks, targets, guesses }: Region): readonly [readonly FlowNode[], readonly number[]] {
  const numbers = new Map(blocks.map(({ offset }, n) => [offset, n]));
  const known = (offset: number | undefined): readonly number[] => {
    const n = offset === undefined ? undefined : numbers.get(offset);
    return n === undefined ? [] : [n];
  };
  const nodes = blocks.map((b) => ({
    successors: [...known(b.taken), ...known(b.next), ...(guesses.get(b.offset) ?? []).flatMap(known)],
    computed: isComputed(b) && !guesses.has(b.offset),
    length: mayRepeat(b) ? b.instructions.length : undefined,
  }));
  return [nodes, targets.flatMap(known)];
}

/** `targets`: of computed jumps. The switch's number is the one behind the blocks'. */
export function controlFlowOf(nodes: readonly FlowNode[], targets: readonly number[]): ControlFlow {
  const node = nodes.length;
  const known = new Set(targets);
  const dispatched: ReadonlySet<number>[] = new Array(node).fill(NONE);
  for (let root = 0; ; root = node) {
    if (root === node) known.add(0);
    const graph = graphOf(nodes, known, dispatched);
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
    if (!reducible) continue;
    const lengths = nodes.map(({ length }, n) => (graph[n].includes(node) ? undefined : length));
    const loops = smallLoops(graph, structure, [...lengths, undefined]);
    return {
      graph,
      structure: loops.size === 0 ? structure : structureOf(withCommonEnds(graph, loops), root),
      root,
      targets: [...known],
      dispatched,
      loops,
    };
  }
}

/**
 * Blocks, besides the first, from which a region would reach all of its blocks with no branch through the switch, where it does not from
 * the first: that is then in the middle of a loop.
 */
export function betterEntries(nodes: readonly FlowNode[], targets: readonly number[]): readonly number[] {
  const graph = graphOf(nodes, new Set(targets), new Array(nodes.length).fill(NONE));
  const candidates = enteredIrreducibly(graph, structureOf(graph));
  return [...candidates].filter((root) => {
    if (root === nodes.length) return false;
    const structure = structureOf(graph, root);
    return nodes.every((_, n) => structure.order[n] >= 0) && enteredIrreducibly(graph, structure).size === 0;
  });
}
/** Where the edges lead that make a graph irreducible. */
function enteredIrreducibly(graph: Graph, structure: Structure): ReadonlySet<number> {
  const found = new Set<number>();
  for (let n = 0; n < graph.length; n++) {
    if (structure.order[n] < 0) continue;
    for (const s of graph[n]) if (structure.isIrreducible(n, s)) found.add(s);
  }
  return found;
}

/** The blocks, and the switch that leads to `known`. */
function graphOf(
  nodes: readonly FlowNode[],
  known: ReadonlySet<number>,
  dispatched: readonly ReadonlySet<number>[],
): Graph {
  const graph: (readonly number[])[] = [];
  for (let n = 0; n < nodes.length; n++) {
    const { successors, computed } = nodes[n];
    const through = dispatched[n];
    const direct = through.size === 0 ? successors : successors.filter((s) => !through.has(s));
    const switches = (computed && known.size > 0) || direct.length < successors.length;
    graph.push(switches ? [...direct, nodes.length] : direct);
  }
  graph.push([...known]);
  return graph;
}
