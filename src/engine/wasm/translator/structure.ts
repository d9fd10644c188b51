/**
 * Structured control flow from a control-flow graph, by its dominator tree (Ramsey, "Beyond Relooper", ICFP 2022). An edge that makes the
 * graph irreducible is reported.
 */

/** The successors of each node. */
export type Graph = readonly (readonly number[])[];

export interface Structure {
  /** Position of each node in reverse postorder; -1 for one that the entry does not reach. */
  readonly order: readonly number[];
  /** Nodes that each node dominates immediately, the later in reverse postorder first. */
  readonly children: readonly (readonly number[])[];
  readonly isLoopHeader: readonly boolean[];
  /** Reached forwards by more than one edge. */
  readonly isMerge: readonly boolean[];
  /** The edge goes back to a loop header that does not dominate its source. */
  isIrreducible(from: number, to: number): boolean;
}

function reversePostorder(graph: Graph, root: number): number[] {
  const seen = new Set<number>([root]);
  const postorder: number[] = [];
  const stack: [node: number, next: number][] = [[root, 0]];
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    const successor = graph[top[0]][top[1]++];
    if (successor === undefined) {
      postorder.push(top[0]);
      stack.pop();
    } else if (!seen.has(successor)) {
      seen.add(successor);
      stack.push([successor, 0]);
    }
  }
  return postorder.reverse();
}

/** Immediate dominators (Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm"). */
function dominators(nodes: readonly number[], order: readonly number[], predecessors: readonly number[][]): number[] {
  const idom: number[] = new Array(order.length).fill(-1);
  idom[nodes[0]] = nodes[0];
  const intersect = (a: number, b: number): number => {
    let [x, y] = [a, b];
    while (x !== y) {
      while (order[x] > order[y]) x = idom[x];
      while (order[y] > order[x]) y = idom[y];
    }
    return x;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const n of nodes.slice(1)) {
      const known = predecessors[n].filter((p) => idom[p] >= 0);
      const dominator = known.reduce(intersect);
      if (idom[n] !== dominator) {
        idom[n] = dominator;
        changed = true;
      }
    }
  }
  return idom;
}

/** `root`: the entry. */
export function structureOf(graph: Graph, root = 0): Structure {
  const nodes = reversePostorder(graph, root);
  const order: number[] = new Array(graph.length).fill(-1);
  for (const [i, n] of nodes.entries()) order[n] = i;
  const predecessors: number[][] = graph.map(() => []);
  for (const n of nodes) for (const s of graph[n]) predecessors[s].push(n);
  const idom = dominators(nodes, order, predecessors);
  const dominates = (a: number, b: number): boolean => {
    for (let n = b; ; n = idom[n]) {
      if (n === a) return true;
      if (n === root) return false;
    }
  };
  const isBack = (from: number, to: number): boolean => order[to] <= order[from];
  const children: number[][] = graph.map(() => []);
  for (const n of nodes.slice(1)) children[idom[n]].push(n);
  for (const list of children) list.sort((a, b) => order[b] - order[a]);
  const isIrreducible = (from: number, to: number): boolean => isBack(from, to) && !dominates(to, from);
  return {
    order,
    children,
    isLoopHeader: graph.map((_, n) => predecessors[n].some((p) => isBack(p, n) && !isIrreducible(p, n))),
    isMerge: graph.map((_, n) => predecessors[n].filter((p) => !isBack(p, n)).length > 1),
    isIrreducible,
  };
}
