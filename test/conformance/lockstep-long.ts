/** The long run of two engines in lockstep over whole boots. */
import { readFile } from 'node:fs/promises';
import { TIERS, type Tier } from '../../src/engine/wasm/tier.ts';
import { type DebianKernel, debianGuest, POWEROFF_WORD } from '../support/guests.ts';
import { bootInLockstep, type LockstepGuest, samples } from './lockstep-boot.ts';
import { Divergence } from './lockstep-log.ts';
import type { RunOptions } from './long-runs.ts';
import { Random } from './random.ts';

/** To compare in each boot, about. */
const INSTRUCTIONS = 500_000;
const STRETCH = 2000;
const DEBIAN_MEMORY = 128 * 2 ** 20;
/** What boots take, about. The 32-bit kernel is there for the modes that the others do not use. */
const EMBEDDED_INSTRUCTIONS = 50_000_000;
const DEBIAN = { 'cloud-amd64': 1_400_000_000, '686-pae': 6_400_000_000 } as const satisfies Partial<
  Record<DebianKernel, number>
>;

interface Boot {
  readonly name: string;
  readonly tier: Tier;
  readonly instructions: number;
  readonly guest?: LockstepGuest;
}

async function* boots(): AsyncGenerator<Boot> {
  for (const tier of TIERS) yield { name: `embedded guest, ${tier}`, tier, instructions: EMBEDDED_INSTRUCTIONS };
  for (const kernel of Object.keys(DEBIAN) as (keyof typeof DEBIAN)[]) {
    const files = await debianGuest(kernel);
    if ('missing' in files) {
      console.log(`lockstep: SKIPPED, ${files.missing}`);
      continue;
    }
    const guest = {
      kernel: await readFile(files.kernel),
      initrd: await readFile(files.initrd),
      append: `console=ttyS0 ${POWEROFF_WORD}`,
      memoryBytes: DEBIAN_MEMORY,
    };
    yield { name: kernel, tier: 'both', instructions: DEBIAN[kernel], guest };
  }
}

/** Prints as it goes; whether all engines went together. */
export async function runLockstep({ count = INSTRUCTIONS, seed }: RunOptions): Promise<boolean> {
  console.log(`lockstep: about ${count} instructions of each boot, seed ${seed}`);
  let passed = true;
  for await (const { name, tier, instructions, guest } of boots()) {
    const distance = Math.max(STRETCH, Math.floor((instructions * STRETCH) / count));
    try {
      const { compared, stretches } = await bootInLockstep(tier, samples(distance, STRETCH, new Random(seed)), guest);
      console.log(`lockstep: ${name}: ${compared} instructions in ${stretches} stretches agree with the reference`);
    } catch (error) {
      if (!(error instanceof Divergence)) throw error;
      console.log(`lockstep: ${name}: ${error.message}`);
      passed = false;
    }
  }
  return passed;
}
