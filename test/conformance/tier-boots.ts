/** One boot under the virtual clock on each tier: all that can be observed of it must be the same. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createWasmEngine } from '../../src/engine/wasm/engine.ts';
import type { KeptRegions } from '../../src/engine/wasm/kept-regions.ts';
import { TIERS, type Tier } from '../../src/engine/wasm/tier.ts';
import type { Result } from '../../src/machine/board.ts';
import { debianGuest, POWEROFF_WORD } from '../support/guests.ts';
import { keptIn } from '../support/kept-bytes.ts';
import { COMPARED_REGISTERS } from './lockstep.ts';
import { embedded, type LockstepGuest, machineOf } from './lockstep-boot.ts';

export interface TierBoot {
  readonly result: Result;
  readonly text: string;
  readonly instructions: number;
  readonly guestNs: number;
  readonly vectors: readonly (readonly [vector: number, count: number])[];
  readonly accesses: readonly unknown[];
  readonly registers: Readonly<Record<string, bigint>>;
  /** SHA-256 of RAM at the end. */
  readonly memory: string;
}

const DEBIAN_MEMORY = 128 * 2 ** 20;

export async function bootOnTier(tier: Tier, guest?: LockstepGuest): Promise<TierBoot> {
  return (await bootWith(tier, guest, undefined)).boot;
}

/** The boot after one whose regions were kept, on both tiers. */
export async function bootAgain(guest?: LockstepGuest): Promise<TierBoot> {
  const kept = keptIn();
  await bootWith('both', guest, kept);
  const { boot, regionsKept } = await bootWith('both', guest, keptIn(kept.content()));
  assert(regionsKept > 0, 'no region of the boot before was used');
  return boot;
}

/** `kept`: regions of an earlier boot, and where those of this one go. */
async function bootWith(
  tier: Tier,
  guest: LockstepGuest | undefined,
  kept: KeptRegions | undefined,
): Promise<{ readonly boot: TierBoot; readonly regionsKept: number }> {
  const booted = guest ?? (await embedded());
  const { memoryBytes } = booted;
  const engine = createWasmEngine({ memoryBytes, tier, kept });
  let text = '';
  const print = { write: (bytes: Uint8Array) => (text += Buffer.from(bytes).toString('latin1')) };
  const machine = machineOf(engine, booted, print, print);
  const result = await machine.run();
  const { instructions, guestNs, vectors, accesses } = machine.statistics();
  const boot = {
    result,
    text,
    instructions,
    guestNs,
    vectors: [...vectors].sort(([a], [b]) => a - b),
    accesses: [...accesses],
    registers: Object.fromEntries(COMPARED_REGISTERS.map((name) => [name, machine.vcpu.register(name)])),
    memory: createHash('sha256').update(engine.memory.readable(0, memoryBytes)!).digest('hex'),
  };
  return { boot, regionsKept: machine.vcpu.statistics().code!.regionsKept };
}

async function debian(): Promise<LockstepGuest | string> {
  const files = await debianGuest('cloud-amd64');
  if ('missing' in files) return files.missing;
  const [kernel, initrd] = [await readFile(files.kernel), await readFile(files.initrd)];
  return { kernel, initrd, append: `console=ttyS0 ${POWEROFF_WORD}`, memoryBytes: DEBIAN_MEMORY };
}

/** What two boots do not have in common. */
function differences(a: TierBoot, b: TierBoot): string[] {
  const keys = Object.keys(a) as (keyof TierBoot)[];
  const shown = (value: unknown): string =>
    JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v));
  return keys.filter((key) => shown(a[key]) !== shown(b[key]));
}

/** The long run: prints as it goes; whether the tiers did the same. */
export async function runTiers(): Promise<boolean> {
  let same = true;
  for (const [name, guest] of [
    ['embedded guest', undefined],
    ['cloud-amd64', await debian()],
  ] as const) {
    if (typeof guest === 'string') {
      console.log(`tiers: SKIPPED, ${guest}`);
      continue;
    }
    let first: TierBoot | undefined;
    for (const tier of [...TIERS, 'both, with the regions of the boot before'] as const) {
      const boot = await (TIERS.includes(tier as Tier) ? bootOnTier(tier as Tier, guest) : bootAgain(guest));
      first ??= boot;
      const found = differences(first, boot);
      same &&= found.length === 0;
      const verdict = found.length === 0 ? 'the same' : `not the same ${found.join(', ')}`;
      console.log(`tiers: ${name}, ${tier}: ${boot.instructions} instructions, ${boot.result.kind}; ${verdict}`);
    }
  }
  return same;
}
