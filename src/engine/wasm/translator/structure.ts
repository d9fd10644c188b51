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
  const seen: boolean[] = new Array(graph.length).fill(false);
  const postorder: number[] = [];
  const path = [root];
  /** Of each node of the path: which successor comes next. */
  const next = [0];
  seen[root] = true;
  while (path.length > 0) {
    const top = path.length - 1;
    const successor = graph[path[top]][next[top]++];
    if (successor === undefined) {
      postorder.push(path.pop()!);
      next.pop();
    } else if (!seen[successor]) {
      seen[successor] = true;
      path.push(successor);
      next.push(0);
    }
  }
  return postorder.reverse();
}

/** Immediate dominators (Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm"). */
function dominators(nodes: readonly number[], order: readonly number[], predecessors: readonly number[][]): number[] {
  const idom: number[] = new Array(order.length).fill(-1);
  idom[nodes[0]] = nodes[0];
  const intersect = (a: number, b: number): number => {
    let x = a;
    let y = b;
    while (x !== y) {
      while (order[x] > order[y]) x = idom[x];
      while (order[y] > order[x]) y = idom[y];
    }
    return x;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (let i = 1; i < nodes.length; i++) {
      const n = nodes[i];
      let dominator = -1;
      for (const p of predecessors[n]) {
        if (idom[p] >= 0) dominator = dominator < 0 ? p : intersect(dominator, p);
      }
      if (idom[n] === dominator) continue;
      idom[n] = dominator;
      changed = true;
    }
  }
  return idom;
}

/** `root`: the entry. */
export function structureOf(graph: Graph, root = 0): Structure {
  const nodes = reversePostorder(graph, root);
  const order: number[] = new Array(graph.length).fill(-1);
  for (let i = 0; i < nodes.length; i++) order[nodes[i]] = i;
  const predecessors: number[][] = graph.map(() => []);
  for (const n of nodes) for (const s of graph[n]) predecessors[s].push(n);
  const idom = dominators(nodes, order, predecessors);
  const dominates = (a: number, b: number): boolean => {
    for (let n = b; ; n = idom[n]) {
      if (n === a) return true;
      if (n === root) return false;
    }
  };
  const children: number[][] = graph.map(() => []);
  for (let i = nodes.length - 1; i > 0; i--) children[idom[nodes[i]]].push(nodes[i]);
  const isLoopHeader: boolean[] = new Array(graph.length).fill(false);
  const isMerge: boolean[] = new Array(graph.length).fill(false);
  for (const n of nodes) {
    let forwards = 0;
    for (const p of predecessors[n]) {
      if (order[n] > order[p]) forwards++;
      else if (dominates(n, p)) isLoopHeader[n] = true;
    }
    isMerge[n] = forwards > 1;
  }
  const isIrreducible = (from: number, to: number): boolean => order[to] <= order[from] && !dominates(to, from);
  return { order, children, isLoopHeader, isMerge, isIrreducible };
}

/** The nodes of each loop, those of the loops within it included. */
export function loopsOf(graph: Graph, { order, isLoopHeader }: Structure): readonly ReadonlySet<number>[] {
  const predecessors: number[][] = graph.map(() => []);
  for (let n = 0; n < graph.length; n++) if (order[n] >= 0) for (const s of graph[n]) predecessors[s].push(n);
  const loops: ReadonlySet<number>[] = [];
  for (let header = 0; header < graph.length; header++) {
    if (!isLoopHeader[header]) continue;
    const members = new Set([header]);
    const queue = predecessors[header].filter((n) => order[n] >= order[header]);
    for (let n = queue.pop(); n !== undefined; n = queue.pop()) {
      if (members.has(n)) continue;
      members.add(n);
      queue.push(...predecessors[n]);
    }
    loops.push(members);
  }
  return loops;
}
