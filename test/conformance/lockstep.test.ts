/** The product's engine and the reference engine execute the embedded guest's boot in lockstep. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beginning, bootInLockstep, samples } from './lockstep-boot.ts';

/** Most of what follows is one long REP MOVS. */
const FIRST = 4000;

for (const tier of ['interpreter', 'translator'] as const) {
  test(`${tier}: the first ${FIRST} instructions, compared after each block`, async () => {
    const { compared } = await bootInLockstep(tier, { ...beginning(FIRST), every: 1 });
    assert(compared >= FIRST);
  });
}

for (const tier of ['interpreter', 'both'] as const) {
  test(`${tier}: samples from reset to power-off`, async () => {
    const { compared, stretches, text, result } = await bootInLockstep(tier, samples(1_000_000, 600));
    assert.deepEqual(result, { kind: 'poweredOff' });
    assert.match(text, /Trapeze: Linux/);
    assert(stretches > 30 && compared > 20_000, `${stretches} stretches, ${compared} instructions`);
  });
}
