/** Accesses of regions, which keep what the TLB said of the pages of small tables in locals. */
import type { LoadNode, StoreNode } from '../../../isa/ir/types.ts';
import type { KeptPage } from '../lower-memory.ts';
import type { PageAccesses } from './page-accesses.ts';
import { RegisterLowering } from './register-lowering.ts';

/** Pages kept: more would be more locals than the host has registers. */
const MOST_PAGES = 4;

export class PageLowering extends RegisterLowering {
  readonly #kept = new Map<LoadNode | StoreNode, KeptPage>();

  /** `blocks`: all of the region. */
  protected keepPages(blocks: readonly PageAccesses[]): void {
    // What is kept is of one bank.
    if (blocks.some((b) => b.changesBank)) return;
    for (const { tables } of blocks) {
      for (const access of tables) {
        if (this.#kept.size === MOST_PAGES) return;
        const [tag, host, limit, times] = (['i64', 'i32', 'i64', 'i32'] as const).map((type) => this.locals.take(type));
        this.#kept.set(access, { tag, host, limit, times });
      }
    }
  }

  protected override keptPage(s: LoadNode | StoreNode): KeptPage | undefined {
    return this.#kept.size === 0 ? undefined : this.#kept.get(s);
  }
}
