/** Accesses of regions, which keep what the TLB said of the pages of small tables in locals. */
import type { LoadNode, StoreNode } from '../../../isa/ir/types.ts';
import type { GroupedAccess, KeptPage } from '../lower-memory.ts';
import { InvariantLowering } from './invariant-lowering.ts';
import type { PageAccesses } from './page-accesses.ts';
import type { GroupMember, PageGroup } from './page-groups.ts';

/** Pages kept: more would be more locals than the host has registers. */
const MOST_PAGES = 4;

export class PageLowering extends InvariantLowering {
  readonly #kept = new Map<LoadNode | StoreNode, KeptPage>();
  readonly #grouped = new Map<LoadNode | StoreNode, GroupMember>();
  /** Locals with the places of groups. */
  readonly #hosts = new Map<PageGroup, number>();

  /** `blocks`: all of the region. */
  protected groupPages(blocks: readonly PageAccesses[]): void {
    for (const { groups } of blocks) for (const [access, member] of groups) this.#grouped.set(access, member);
  }

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
  protected override groupedAccess(s: LoadNode | StoreNode): GroupedAccess | undefined {
    const member = this.#grouped.get(s);
    if (member === undefined) return undefined;
    const { group, at } = member;
    const isFirst = group.first === s;
    if (isFirst) this.#hosts.set(group, this.take('i32'));
    return { ...group, isFirst, at, host: this.#hosts.get(group)! };
  }
}
