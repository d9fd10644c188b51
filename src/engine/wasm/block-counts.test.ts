import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BlockCounts, MAX_PATIENCE } from './block-counts.ts';
import { COUNT_AT } from './record.ts';

const RECORD = 64;
const MOST_ENTRIES = 2 ** 20;

/** How often a block is entered before it is seen to be dense or hot, when `instructions` are executed from one entry to the next. */
function entriesUntilSeen(instructions: number, { kept = false, patience = 0, first = 0 } = {}): number {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const view = new DataView(memory.buffer);
  let retired = first;
  const counts = new BlockCounts(memory, kept, () => retired);
  counts.begin(RECORD, 0, patience);
  let entries = 0;
  while (entries < MOST_ENTRIES) {
    const left = view.getUint32(RECORD + COUNT_AT.left, true);
    entries += left;
    retired += left * instructions;
    view.setUint32(RECORD + COUNT_AT.left, 0, true);
    assert.equal(counts.entered(RECORD), entries);
    if (counts.heat(RECORD, patience) !== 'cold') return entries;
  }
  return entries;
}

test('a block that is entered once in few instructions is seen to be dense before one of flat code is hot', () => {
  assert(entriesUntilSeen(10) * 4 <= entriesUntilSeen(1000));
});

test('how soon that is seen follows from how dense its entries are, and from patience, not from when it began', () => {
  const gaps = fc.integer({ min: 1, max: 4000 });
  fc.assert(
    fc.property(
      gaps,
      gaps,
      fc.boolean(),
      fc.nat(2 ** 48),
      fc.integer({ min: 1, max: MAX_PATIENCE }),
      (a, b, kept, first, patience) => {
        const [least, most] = [Math.min(a, b), Math.max(a, b)];
        assert(entriesUntilSeen(least, { kept, first }) <= entriesUntilSeen(most, { kept, first }));
        assert.equal(entriesUntilSeen(a, { kept, first }), entriesUntilSeen(a, { kept }));
        assert.equal(entriesUntilSeen(a, { kept, patience }), entriesUntilSeen(a, { kept }) << patience);
      },
    ),
  );
});

test('with a block that was entered less often than a hot one, others are wanted that were entered as seldom for each of its entries', () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const view = new DataView(memory.buffer);
  const counts = new BlockCounts(memory, false, () => 0);
  counts.begin(RECORD, 0, 0);
  const whole = view.getUint32(RECORD + COUNT_AT.whole, true);
  view.setUint32(RECORD + COUNT_AT.left, 0, true);
  assert.equal(counts.leastBeside(RECORD), whole / 32);
  // Of one that is part of a region only this is known, that it was hot.
  counts.cool(RECORD, 0, false);
  assert.equal(counts.leastBeside(RECORD), 1000);
});
