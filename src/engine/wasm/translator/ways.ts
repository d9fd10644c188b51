/**
 * Where the computed jumps of a region go. A return goes behind the calls of its function, a call through a pointer to functions: where
 * few of these are known, they are compared with, and otherwise the region is left. A loop that calls a function and is returned to stays
 * a loop like others so. A jump through a table has targets that nothing else goes to and finds them itself. All others go through the
 * switch, which is one for the region.
 */
import { endOf, type RegionBlock } from './region-block.ts';

/** What is known of where a computed jump or call goes. */
export interface KnownTargets {
  /** Where it went last, or a pointer at a constant address leads. */
  readonly last: number | undefined;
  /** Places nearby that some computed jump went to. */
  readonly near: readonly number[];
}

export interface Ways {
  /** By the offset of a block that ends in a computed jump: the blocks that it is compared with. Those that are not here use the switch. */
  readonly guesses: ReadonlyMap<number, readonly number[]>;
  /** Offsets of the blocks that the switch leads to. */
  readonly targets: readonly number[];
}

/** More callees of one call are found faster by the switch. */
const MOST_CALLEES = 3;
/** So many targets of a jump are its own whatever other jumps go there. */
const MOST_SHARED = 2;

class Functions {
  readonly #blocks: ReadonlyMap<number, RegionBlock>;
  readonly #known: (block: RegionBlock) => KnownTargets;
  readonly #reached = new Map<number, ReadonlySet<number>>();
  /** Behind calls. */
  readonly #sites: ReadonlySet<number>;

  constructor(blocks: ReadonlyMap<number, RegionBlock>, known: (block: RegionBlock) => KnownTargets) {
    this.#blocks = blocks;
    this.#known = known;
    this.#sites = new Set([...blocks.values()].filter(isCall).map(endOf));
  }

  /** Offsets of the blocks that a block leads to without leaving its function: past its calls. */
  #reachedFrom(entry: number): ReadonlySet<number> {
    let reached = this.#reached.get(entry);
    if (reached !== undefined) return reached;
    const found = new Set<number>([entry]);
    // What is added while it is walked through is walked through too.
    for (const offset of found)
      for (const next of this.#following(this.#blocks.get(offset)!)) if (this.#blocks.has(next)) found.add(next);
    this.#reached.set(entry, (reached = found));
    return reached;
  }
  #following(block: RegionBlock): readonly number[] {
    if (isCall(block)) return [endOf(block)];
    if (block.ending === 'computed') return this.targets(block);
    return [block.taken, block.next].filter((offset) => offset !== undefined);
  }

  /** Of a computed jump that is no call, in the region. */
  targets(block: RegionBlock): readonly number[] {
    const { last, near } = this.#known(block);
    const all = block.pointer === undefined ? near.filter((offset) => !this.#sites.has(offset)) : [];
    return this.#inRegion(last, all);
  }
  /** The functions in the region that a block may call. */
  callees(block: RegionBlock): readonly number[] {
    if (block.ending === 'call') return this.#inRegion(block.taken, []);
    const { last, near } = this.#known(block);
    return this.#inRegion(last, block.pointer === undefined ? near.filter((o) => this.#isFunction(o, block)) : []);
  }
  #inRegion(first: number | undefined, others: readonly number[]): readonly number[] {
    const all = first === undefined ? others : [first, ...others.filter((offset) => offset !== first)];
    return all.filter((offset) => this.#blocks.has(offset));
  }
  /** A place nearby is a function that returns, and not part of the one that a call is in. */
  #isFunction(offset: number, call: RegionBlock): boolean {
    if (this.#sites.has(offset) || !this.#blocks.has(offset)) return false;
    const reached = this.#reachedFrom(offset);
    return !reached.has(call.offset) && [...reached].some((o) => this.#blocks.get(o)!.ending === 'return');
  }

  /** By the offset of a block that returns: where it may, in the region. */
  returns(): ReadonlyMap<number, ReadonlySet<number>> {
    const sites = new Map<number, Set<number>>();
    for (const block of this.#blocks.values()) {
      if (!isCall(block) || !this.#blocks.has(endOf(block))) continue;
      for (const callee of this.callees(block))
        for (const offset of this.#reachedFrom(callee)) {
          const known = sites.get(offset);
          if (known === undefined) sites.set(offset, new Set([endOf(block)]));
          else known.add(endOf(block));
        }
    }
    return sites;
  }
}

const isCall = ({ ending }: RegionBlock): boolean => ending === 'call' || ending === 'computedCall';

/** `known`: of a block that ends in a computed jump or call. */
export function waysOf(blocks: ReadonlyMap<number, RegionBlock>, known: (block: RegionBlock) => KnownTargets): Ways {
  const functions = new Functions(blocks, known);
  const returns = functions.returns();
  const guesses = new Map<number, readonly number[]>();
  const targets = new Set<number>();
  const add = ({ offset }: RegionBlock, found: readonly number[], most: number): void => {
    if (found.length <= most) guesses.set(offset, found);
    else for (const target of found) targets.add(target);
  };
  const jumps = [...blocks.values()].filter(({ ending }) => ending === 'computed');
  const jumpsTo = new Map(jumps.map((block) => [block, functions.targets(block)]));
  const all = [...jumpsTo.values()].flat();
  for (const block of blocks.values()) {
    if (block.ending === 'return') add(block, [...(returns.get(block.offset) ?? [])], 1);
    else if (block.ending === 'computedCall') add(block, functions.callees(block), MOST_CALLEES);
  }
  for (const [block, found] of jumpsTo) {
    const isOwn = found.every((target) => !targets.has(target) && all.indexOf(target) === all.lastIndexOf(target));
    add(block, found, isOwn ? found.length : MOST_SHARED);
  }
  return { guesses, targets: [...targets] };
}
