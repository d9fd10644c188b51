import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { controlFlowOf } from './control-flow.ts';

const regions = fc.integer({ min: 1, max: 12 }).chain((n) =>
  fc.record({
    blocks: fc.array(fc.uniqueArray(fc.nat(n - 1), { maxLength: 2 }), { minLength: n, maxLength: n }),
    computed: fc.array(fc.boolean(), { minLength: n, maxLength: n }),
    targets: fc.uniqueArray(fc.nat(n - 1), { maxLength: 4 }),
  }),
);

test('no edge is left that makes a region irreducible, and none is lost', () => {
  fc.assert(
    fc.property(regions, ({ blocks, computed, targets }) => {
      const flow = controlFlowOf(blocks, computed, targets);
      const { structure, dispatched } = flow;
      const node = blocks.length;
      for (const t of targets) assert.ok(flow.targets.includes(t));
      assert.ok(flow.root === 0 || (flow.root === node && flow.targets.includes(0)));
      for (const [n, successors] of blocks.entries()) {
        if (structure.order[n] < 0) continue;
        for (const s of successors) {
          if (dispatched[n].has(s)) assert.ok(flow.root === node && flow.targets.includes(s));
          else assert.ok(!structure.isIrreducible(n, s));
        }
        if (computed[n] && targets.length > 0) assert.ok(!structure.isIrreducible(n, node));
      }
      for (const t of structure.order[node] < 0 ? [] : flow.targets) assert.ok(!structure.isIrreducible(node, t));
    }),
    { numRuns: 2000 },
  );
});

test('what is reducible starts at its first block', () => {
  const { root, dispatched } = controlFlowOf([[1, 2], [0], []], [false, false, true], [1]);
  assert.equal(root, 0);
  assert.deepEqual(
    dispatched.map((d) => d.size),
    [0, 0, 0],
  );
});

test('a loop with two ways in goes through the switch', () => {
  const { root, targets, dispatched } = controlFlowOf([[1, 2], [2], [1]], [false, false, false], []);
  assert.equal(root, 3);
  assert.ok(targets.includes(0));
  assert.ok(dispatched.some((d) => d.size > 0));
});
