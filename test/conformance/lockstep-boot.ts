/** The embedded guest's boot, executed by two engines in lockstep. */

import type { ByteSink } from '../../src/devices/contract.ts';
import type { Engine } from '../../src/engine/engine.ts';
import type { Tier } from '../../src/engine/wasm/tier.ts';
import { nodeHost } from '../../src/host/node/host.ts';
import type { Result } from '../../src/machine/board.ts';
import { createPcMachine } from '../../src/machine/boards/pc.ts';
import type { Machine } from '../../src/machine/machine.ts';
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

/** A machine under the virtual clock that boots the guest. */
export function machineOf(engine: Engine, guest: LockstepGuest, serial: ByteSink, console: ByteSink): Machine {
  return createPcMachine({
    engine,
    host: nodeHost,
    clock: 'virtual',
    boot: {
      kernel: { name: 'kernel', bytes: guest.kernel },
      initrds: [{ name: 'initrd', bytes: guest.initrd }],
      commandLine: guest.append,
    },
    serial,
    console,
  });
}

/** @throws Divergence */
export async function bootInLockstep(
  tier: Tier,
  { enough, ...plan }: Plan,
  guest?: LockstepGuest,
): Promise<LockstepBoot> {
  const booted = guest ?? (await embedded());
  const engine = new LockstepEngine({
    ...plan,
    tier,
    memoryBytes: booted.memoryBytes,
    begins: (retired) => {
      if (enough !== undefined && engine.compared >= enough) machine.stop();
      return plan.begins(retired);
    },
  });
  let text = '';
  const print = { write: (bytes: Uint8Array) => (text += Buffer.from(bytes).toString('latin1')) };
  const machine: Machine = machineOf(engine, booted, print, { write: () => {} });
  const result = await machine.run();
  return { result, text, compared: engine.compared, stretches: engine.stretches };
}
