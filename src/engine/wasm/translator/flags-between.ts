/** What the blocks of a region know of the flags that others leave behind. */
import { nodesOf } from './control-flow.ts';
import type { KnownFlags } from './known-flags.ts';
import type { Region } from './region.ts';
import type { RegionBlock } from './region-block.ts';
import { structureOf } from './structure.ts';

/** The blocks, made again by `again` where they read flags of which all blocks before them make the same known. */
export function withKnownFlags(
  region: Region,
  again: (block: RegionBlock, flags: KnownFlags) => RegionBlock,
): readonly RegionBlock[] {
  const blocks = [...region.blocks];
  if (!blocks.some((b) => b.readsFlags)) return blocks;
  const [nodes, targets] = nodesOf(region);
  // Nothing is known at the entry, and where computed jumps lead.
  const unknown = new Set([0, ...targets]);
  const before: number[][] = blocks.map(() => []);
  for (let n = 0; n < blocks.length; n++) for (const s of nodes[n].successors) before[s].push(n);
  const { order } = structureOf([...nodes.map((n) => n.successors), [...unknown]], blocks.length);
  /** Behind each block that was looked at. */
  const behind: (KnownFlags | undefined)[] = new Array(blocks.length).fill(undefined);
  for (const n of blocks.map((_, i) => i).sort((a, b) => order[a] - order[b])) {
    const flags = unknown.has(n) ? undefined : common(before[n].map((p) => behind[p]));
    if (flags !== undefined && blocks[n].readsFlags) blocks[n] = again(blocks[n], flags);
    behind[n] = blocks[n].flags === 'kept' ? flags : blocks[n].flags;
  }
  return blocks;
}

function common([first, ...rest]: readonly (KnownFlags | undefined)[]): KnownFlags | undefined {
  return rest.every((flags) => flags?.text === first?.text) ? first : undefined;
}
