/** The long run of two engines in lockstep over a whole boot. */
import { TIERS } from '../../src/engine/wasm/tier.ts';
import { bootInLockstep, samples } from './lockstep-boot.ts';
import { Divergence } from './lockstep-log.ts';
import type { RunOptions } from './long-runs.ts';
import { Random } from './random.ts';

/** To compare, about. */
const INSTRUCTIONS = 1_000_000;
/** What the boot takes, about. */
const BOOT_INSTRUCTIONS = 50_000_000;
const STRETCH = 2000;

/** Prints as it goes; whether all engines went together. */
export async function runLockstep({ count = INSTRUCTIONS, seed }: RunOptions): Promise<boolean> {
  console.log(`lockstep: about ${count} instructions with each tier, seed ${seed}`);
  const distance = Math.max(STRETCH, Math.floor((BOOT_INSTRUCTIONS * STRETCH) / count));
  let passed = true;
  for (const tier of TIERS) {
    try {
      const { compared, stretches } = await bootInLockstep(tier, samples(distance, STRETCH, new Random(seed)));
      console.log(`lockstep: ${tier}: ${compared} instructions in ${stretches} stretches agree with the reference`);
    } catch (error) {
      if (!(error instanceof Divergence)) throw error;
      console.log(`lockstep: ${tier}: ${error.message}`);
      passed = false;
    }
  }
  return passed;
}
