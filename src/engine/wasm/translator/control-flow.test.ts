import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { betterEntries, controlFlowOf, type FlowNode } from './control-flow.ts';

const plain = (...successors: number[]): FlowNode => ({ successors, computed: false, length: 2 });

const regions = fc.integer({ min: 1, max: 12 }).chain((n) =>
  fc.record({
    blocks: fc.array(
      fc.record({
        successors: fc.uniqueArray(fc.nat(n - 1), { maxLength: 2 }),
        computed: fc.boolean(),
        length: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
      }),
      { minLength: n, maxLength: n },
    ),
    targets: fc.uniqueArray(fc.nat(n - 1), { maxLength: 4 }),
  }),
);

test('no edge is left that makes a region irreducible, and none is lost', () => {
  fc.assert(
    fc.property(regions, ({ blocks, targets }) => {
      const flow = controlFlowOf(blocks, targets);
      const { structure, dispatched } = flow;
      const node = blocks.length;
      for (const t of targets) assert.ok(flow.targets.includes(t));
      assert.ok(flow.root === 0 || (flow.root === node && flow.targets.includes(0)));
      for (const [n, { successors, computed }] of blocks.entries()) {
        if (structure.order[n] < 0) continue;
        for (const s of successors) {
          if (dispatched[n].has(s)) assert.ok(flow.root === node && flow.targets.includes(s));
          else assert.ok(!structure.isIrreducible(n, s));
        }
        if (computed && targets.length > 0) assert.ok(!structure.isIrreducible(n, node));
      }
      for (const t of structure.order[node] < 0 ? [] : flow.targets) assert.ok(!structure.isIrreducible(node, t));
    }),
    { numRuns: 2000 },
  );
});

test('what is reducible starts at its first block', () => {
  const { root, dispatched } = controlFlowOf([plain(1, 2), plain(0), { ...plain(), computed: true }], [1]);
  assert.equal(root, 0);
  assert.deepEqual(
    dispatched.map((d) => d.size),
    [0, 0, 0],
  );
});

test('a loop with two ways in goes through the switch', () => {
  const { root, targets, dispatched } = controlFlowOf([plain(1, 2), plain(2), plain(1)], []);
  assert.equal(root, 3);
  assert.ok(targets.includes(0));
  assert.ok(dispatched.some((d) => d.size > 0));
});

test('a loop whose rounds are written out is short, has one way in and one back, and what follows comes behind it', () => {
  fc.assert(
    fc.property(regions, ({ blocks, targets }) => {
      const { structure, loops, root } = controlFlowOf(blocks, targets);
      const { order, children, isMerge } = structure;
      const parent = order.map((_, n) => children.findIndex((c) => c.includes(n)));
      const isUnder = (n: number, top: number): boolean => n === top || (n !== root && isUnder(parent[n], top));
      for (const [header, members] of loops) {
        const all = [...members];
        assert.ok(all.reduce((sum, n) => sum + blocks[n].length!, 0) <= 6);
        assert.equal(all.filter((n) => blocks[n].successors.includes(header)).length, 1);
        for (const n of all) {
          assert.ok(isUnder(n, header));
          for (const s of blocks[n].successors.filter((s) => !members.has(s))) {
            assert.ok(isMerge[s] || order[s] <= order[n]);
            assert.ok(!all.includes(parent[s]) || parent[s] === header);
            assert.ok(order[s] <= order[n] || all.every((member) => order[member] < order[s]));
          }
        }
      }
    }),
    { numRuns: 5000 },
  );
});

test('the rounds of a loop of two blocks are written out', () => {
  const { loops, structure } = controlFlowOf([plain(1), plain(2, 3), plain(1, 4), plain(), plain()], []);
  assert.deepEqual([...loops], [[1, new Set([1, 2])]]);
  assert.deepEqual([...structure.children[1]].sort(), [2, 3, 4]);
});

test('where the rounds of a loop end in more than one place, those places come behind the last block of a round', () => {
  // while (a) { if (b && c) break; }
  const blocks = [plain(1, 2), plain(2, 3), plain(0), plain()].map((b) => ({ ...b, length: 1 }));
  const { loops, structure } = controlFlowOf(blocks, []);
  assert.deepEqual([...loops], [[0, new Set([0, 2, 1])]]);
  assert(structure.order[3] > structure.order[2]);
});

test('a region that starts in the middle of a loop has a better entry', () => {
  // An outer loop 1 → 2 → 3 → 1 around an inner one, 2 → 3 → 2; the first block is in the outer loop and leads into both.
  const nodes = [plain(1, 3), plain(2), plain(3, 0), plain(2, 1)];
  assert.ok(betterEntries(nodes, []).length > 0);
  assert.deepEqual(betterEntries([plain(1), plain(2, 0), plain(1)], []), []);
});
test('from a better entry nothing goes through the switch', () => {
  fc.assert(
    fc.property(regions, ({ blocks, targets }) => {
      for (const n of betterEntries(blocks, targets)) {
        assert.notEqual(n, 0);
        const renumber = (m: number): number => (m === n ? 0 : m === 0 ? n : m);
        const renumbered = blocks.map((_, m) => {
          const node = blocks[renumber(m)];
          return { ...node, successors: node.successors.map(renumber) };
        });
        const flow = controlFlowOf(renumbered, targets.map(renumber));
        assert.equal(flow.root, 0);
        assert.ok(blocks.every((_, m) => flow.structure.order[m] >= 0));
      }
    }),
    { numRuns: 2000 },
  );
});
