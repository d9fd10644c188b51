/**
 * Counts changes of page tables by looking at them again and again: a monitor without nested paging would have heard of each. An entry
 * that was written twice between two looks counts once, so the count is a lower bound. Accessed and dirty bits do not count: the
 * processor sets them.
 */

import type { GuestMemory } from '../devices/contract.ts';
import type { Engine, Exit, Vcpu } from '../engine/engine.ts';
import { forwardVcpu } from '../engine/forward-vcpu.ts';

/** Instructions between two looks. */
const LOOK_EVERY = 50_000;
const PAGE = 4096;
const ENTRIES = 512;
const PRESENT = 1;
const LARGE = 0x80;
const ACCESSED_AND_DIRTY = 0x60;
const CR0_PG = 1n << 31n;
const EFER_LMA = 1n << 10n;
const TOP_LEVEL = 4;
/** Bits 39:32 of an address, in an entry's upper half. */
const HIGH_ADDRESS = 0xff;

export class PageTableWatch {
  readonly #tables = new Map<number, Uint32Array>();
  #changes = 0;
  /** Entries seen to have changed, while in 64-bit mode. */
  get changes(): number {
    return this.#changes;
  }

  /** The engine with a processor that looks at its page tables between slices. */
  wrap(engine: Engine): Engine {
    return {
      name: engine.name,
      memory: engine.memory,
      createVcpu: (host) => this.#watched(engine.createVcpu(host), engine.memory),
    };
  }

  #watched(vcpu: Vcpu, memory: GuestMemory): Vcpu {
    let kicked = false;
    let restored = false;
    const run = (budget: number): Exit => {
      kicked = false;
      // What a snapshot has in its page tables is no change.
      if (restored) {
        this.#look(vcpu, memory);
        this.#changes = 0;
        restored = false;
      }
      for (let left = budget; ; ) {
        const before = vcpu.retired();
        const exit = vcpu.run(Math.min(left, LOOK_EVERY));
        this.#look(vcpu, memory);
        left -= vcpu.retired() - before;
        if (exit.kind !== 'budgetSpent' || kicked || left <= 0) return exit;
      }
    };
    return {
      ...forwardVcpu(vcpu),
      run,
      kick() {
        kicked = true;
        vcpu.kick();
      },
      restore(state) {
        vcpu.restore(state);
        restored = true;
      },
    };
  }

  #look(vcpu: Vcpu, memory: GuestMemory): void {
    if ((vcpu.register('CR0') & CR0_PG) === 0n || (vcpu.register('IA32_EFER') & EFER_LMA) === 0n) return;
    const root = Number(vcpu.register('CR3') & 0xff_ffff_f000n);
    this.#lookAt(memory, root, TOP_LEVEL, new Set());
  }

  #lookAt(memory: GuestMemory, at: number, level: number, seen: Set<number>): void {
    const page = memory.readable(at, PAGE);
    if (page === undefined || seen.has(at)) return;
    seen.add(at);
    const now = new Uint32Array(page.slice().buffer);
    const before = this.#tables.get(at) ?? new Uint32Array(2 * ENTRIES);
    this.#tables.set(at, now);
    for (let i = 0; i < 2 * ENTRIES; i += 2) {
      const [low, high] = [now[i], now[i + 1]];
      if (((low ^ before[i]) & ~ACCESSED_AND_DIRTY) !== 0 || high !== before[i + 1]) this.#changes++;
      if (level === 1 || (low & PRESENT) === 0 || (low & LARGE) !== 0) continue;
      const next = ((low & ~(PAGE - 1)) >>> 0) + (high & HIGH_ADDRESS) * 2 ** 32;
      this.#lookAt(memory, next, level - 1, seen);
    }
  }
}
