/** Accesses of regions, which keep what the TLB said of the pages of tables in locals. */
import type { LoadNode, StoreNode } from '../../../isa/ir/types.ts';
import type { KeptPage } from '../lower-memory.ts';
import type { PageAccess, PageAccesses } from './page-accesses.ts';
import { RegisterLowering } from './register-lowering.ts';

/** Pages kept: more would be more locals than the host has registers. */
const MOST_PAGES = 4;

export class PageLowering extends RegisterLowering {
  readonly #kept = new Map<PageAccess, KeptPage>();
  /** Of the block that is lowered now. */
  protected pages: PageAccesses | undefined;

  /** Of all blocks, with the registers that change otherwise than by constants in the innermost loop around each. */
  protected keepPages(blocks: readonly { readonly pages: PageAccesses; readonly changed: number }[]): void {
    // What is kept is of one bank.
    if (blocks.some(({ pages }) => pages.changesBank)) return;
    for (const { pages, changed } of blocks) {
      for (const access of pages.list) {
        if ((access.register & changed) === 0 || this.#kept.size === MOST_PAGES) continue;
        const [tag, host, limit, times] = (['i64', 'i32', 'i64', 'i32'] as const).map((type) => this.locals.take(type));
        this.#kept.set(access, { tag, host, limit, times });
      }
    }
  }

  protected override keptPage(s: LoadNode | StoreNode): KeptPage | undefined {
    const access = this.pages?.of.get(s);
    return access && this.#kept.get(access);
  }
}
