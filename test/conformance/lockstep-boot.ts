/** The embedded guest's boot, executed by two engines in lockstep. */

import type { Tier } from '../../src/engine/wasm/tier.ts';
import { nodeHost } from '../../src/host/node/host.ts';
import type { Result } from '../../src/machine/board.ts';
import { createPcMachine } from '../../src/machine/boards/pc.ts';
import { LockstepEngine, type LockstepOptions } from './lockstep.ts';
import { Random } from './random.ts';

export interface LockstepBoot {
  readonly result: Result;
  readonly text: string;
  /** Instructions that both engines executed. */
  readonly compared: number;
  readonly stretches: number;
}

type Plan = Omit<LockstepOptions, 'memoryBytes' | 'tier'> & {
  /** The run is stopped when so many instructions have been compared. */
  readonly enough?: number;
};

const MIB = 2 ** 20;
const APPEND = 'console=ttyS0 trapeze.poweroff';
const EVERY = 16;
const STRETCH = 2000;

/** The first `count` instructions, without a gap. */
export const beginning = (count: number): Plan => ({
  begins: () => true,
  length: STRETCH,
  every: EVERY,
  gap: 1,
  enough: count,
});

/** Stretches of `length` instructions, `distance` from the start of one to that of the next, each somewhat more or less. */
export function samples(distance: number, length: number, random = new Random(1)): Plan {
  let next = 0;
  const begins = (retired: number): boolean => {
    if (retired < next) return false;
    next = retired + Math.floor(distance / 2) + random.below(distance);
    return true;
  };
  return { begins, length, every: EVERY, gap: Math.ceil(distance / 4) };
}

/** What is booted; without it the embedded guest. */
export interface LockstepGuest {
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  readonly append: string;
  readonly memoryBytes: number;
}

export async function embedded(): Promise<LockstepGuest> {
  const { kernel, initrd, append } = await nodeHost.embeddedGuest();
  return { kernel, initrd, append: `${APPEND} ${append}`, memoryBytes: 64 * MIB };
}

/** @throws Divergence */
export async function bootInLockstep(
  tier: Tier,
  { enough, ...plan }: Plan,
  guest?: LockstepGuest,
): Promise<LockstepBoot> {
  const { kernel, initrd, append, memoryBytes } = guest ?? (await embedded());
  const engine = new LockstepEngine({
    ...plan,
    tier,
    memoryBytes,
    begins: (retired) => {
      if (enough !== undefined && engine.compared >= enough) machine.stop();
      return plan.begins(retired);
    },
  });
  let text = '';
  const machine = createPcMachine({
    engine,
    host: nodeHost,
    clock: 'virtual',
    boot: {
      kernel: { name: 'kernel', bytes: kernel },
      initrds: [{ name: 'initrd', bytes: initrd }],
      commandLine: append,
    },
    serial: { write: (bytes) => (text += Buffer.from(bytes).toString('latin1')) },
    console: { write: () => {} },
  });
  const result = await machine.run();
  return { result, text, compared: engine.compared, stretches: engine.stretches };
}
