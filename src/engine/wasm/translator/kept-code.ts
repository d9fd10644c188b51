/** Regions of an earlier run: whether the code that they were made of is here again. */
import type { CodeSize } from '../../../isa/x86/prefixes.ts';
import { PAGE_SIZE } from '../../layout.ts';
import { checkOf, type KeptBlock, type KeptRegion } from '../kept-regions.ts';
import { KnownCode, type KnownPage } from './known-code.ts';
import type { Region } from './region.ts';
import { endOf, type RegionBlock } from './region-block.ts';

/** Bytes of the entry that are part of the key: its block has as many, or the rest of the page is short. */
const KEY_BYTES = 4;

/** Under what regions are kept whose entry is at an offset of its page. */
export function keyOf({ bytes }: KnownPage, entry: number, size: CodeSize): number {
  return checkOf(Uint8Array.of(size, entry, entry >> 8, ...bytes.subarray(entry, entry + KEY_BYTES)));
}

/** The code of a region, which it is known by. */
export function codeOf({ blocks }: Region, known: KnownCode): Pick<KeptRegion, 'blocks' | 'code' | 'instructions'> {
  const stretches = blocks.flatMap(stretchesOf);
  const code = new Uint8Array(stretches.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const stretch of stretches) {
    code.set(bytesOf(stretch, known)!, at);
    at += stretch.length;
  }
  return { blocks: stretches, code, instructions: blocks.reduce((sum, b) => sum + b.instructions.length, 0) };
}

/** The code of a block, by pages. */
function stretchesOf(block: RegionBlock): readonly KeptBlock[] {
  const { offset, base } = block;
  const [end, next] = [endOf(block), base + PAGE_SIZE];
  if (end <= next) return [{ offset, length: end - offset }];
  return [
    { offset, length: next - offset },
    { offset: next, length: end - next },
  ];
}

function bytesOf({ offset, length }: KeptBlock, known: KnownCode): Uint8Array | undefined {
  const within = KnownCode.within(offset);
  return known.page(offset)?.bytes.subarray(within, within + length);
}

/** The same code lies around the entry, and all records are there that the region asks for. */
export function isHere({ blocks, code, records }: KeptRegion, known: KnownCode): boolean {
  // A page is found by a block where the processor went lately: any of them will do.
  for (const offset of [...blocks.map((block) => block.offset), ...records]) known.page(offset);
  let at = 0;
  for (const block of blocks) {
    const bytes = bytesOf(block, known);
    if (bytes === undefined || bytes.length < block.length) return false;
    for (let i = 0; i < bytes.length; i++) if (bytes[i] !== code[at + i]) return false;
    at += block.length;
  }
  return records.every((offset) => known.record(offset) !== undefined);
}
