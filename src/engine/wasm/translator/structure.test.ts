import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Graph, loopsOf, structureOf } from './structure.ts';

const graphs: fc.Arbitrary<Graph> = fc
  .integer({ min: 1, max: 12 })
  .chain((n) => fc.array(fc.uniqueArray(fc.nat(n - 1), { maxLength: 3 }), { minLength: n, maxLength: n }));

/** Nodes that the entry reaches without passing `without`. */
function reached(graph: Graph, without?: number): Set<number> {
  const seen = new Set<number>();
  const queue = without === 0 ? [] : [0];
  for (let n = queue.pop(); n !== undefined; n = queue.pop()) {
    if (seen.has(n)) continue;
    seen.add(n);
    queue.push(...graph[n].filter((s) => s !== without));
  }
  return seen;
}
const dominates = (graph: Graph, a: number, b: number): boolean => a === b || !reached(graph, a).has(b);

test('children are what a node dominates immediately', () => {
  fc.assert(
    fc.property(graphs, (graph) => {
      const { children, order } = structureOf(graph);
      const live = reached(graph);
      for (const n of live) {
        for (const c of children[n]) {
          assert.ok(dominates(graph, n, c));
          for (const other of live) {
            if (other !== n && other !== c && dominates(graph, other, c)) assert.ok(dominates(graph, other, n));
          }
        }
        assert.deepEqual(
          children[n].map((c) => order[c]),
          children[n].map((c) => order[c]).sort((a, b) => b - a),
        );
      }
      const placed = [...live].flatMap((n) => children[n]);
      assert.deepEqual(new Set([0, ...placed]), live);
    }),
  );
});

test('a backward edge is irreducible exactly where its target does not dominate its source', () => {
  fc.assert(
    fc.property(graphs, (graph) => {
      const { order, isIrreducible, isLoopHeader } = structureOf(graph);
      for (const from of reached(graph)) {
        for (const to of graph[from]) {
          const back = order[to] <= order[from];
          assert.equal(isIrreducible(from, to), back && !dominates(graph, to, from));
          if (back && dominates(graph, to, from)) assert.ok(isLoopHeader[to]);
        }
      }
    }),
  );
});

test('a loop has the nodes from which its header is reached without passing it', () => {
  // 0 → 1 → 2 → 3 → 1, 2 → 2, 3 → 4
  const graph = [[1], [2], [3, 2], [1, 4], []];
  assert.deepEqual(loopsOf(graph, structureOf(graph)), [new Set([1, 3, 2]), new Set([2])]);
});
