/** The product's engine and the reference engine execute the embedded guest's boot in lockstep. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beginning, bootInLockstep, samples } from './lockstep-boot.ts';

for (const tier of ['interpreter', 'translator'] as const) {
  test(`${tier}: the first 20,000 instructions, compared after each block`, async () => {
    const { compared } = await bootInLockstep(tier, { ...beginning(20_000), every: 1 });
    assert(compared >= 20_000);
  });
}

for (const tier of ['interpreter', 'both'] as const) {
  test(`${tier}: samples from reset to power-off`, async () => {
    const { compared, stretches, text, result } = await bootInLockstep(tier, samples(2_000_000, 500));
    assert.deepEqual(result, { kind: 'poweredOff' });
    assert.match(text, /Trapeze: Linux/);
    assert(stretches > 15 && compared > 5_000, `${stretches} stretches, ${compared} instructions`);
  });
}
