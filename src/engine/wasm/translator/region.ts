import { type Decoded, decode } from '../../../isa/x86/decoder.ts';
import { MAX_LENGTH } from '../../../isa/x86/instruction-reader.ts';
import type { CodeSize } from '../../../isa/x86/prefixes.ts';
import { IP_BASE_AT, ZERO_AT } from '../../../isa/x86/state.ts';
import { joined } from '../../../joined.ts';
import { alwaysLeaves } from '../../bodies.ts';
import { PAGE_SIZE } from '../../layout.ts';
import { BlockBuilder } from './block-builder.ts';
import { BlockCache, type BlockPlace } from './block-cache.ts';
import { withoutDeadFlags } from './dead-flags.ts';
import { planOf } from './flag-lowering.ts';
import { withKnownFlags } from './flags-between.ts';
import { KnownCode, type KnownPage } from './known-code.ts';
import { assume, flagsBehind, type KnownFlags, readsFlags } from './known-flags.ts';
import { narrowingOf } from './narrow-registers.ts';
import { type BlockCode, endOf, isComputed, type RegionBlock, type RegionInstruction } from './region-block.ts';
import { registersUsed } from './registers-used.ts';
import { MAX_MORE } from './small-loops.ts';
import { type KnownTargets, type Ways, waysOf } from './ways.ts';

export interface Region extends Ways {
  /** The entry's first. */
  readonly blocks: readonly RegionBlock[];
}

const MAX_BLOCKS = 96;
const MAX_INSTRUCTIONS = 600;
/** Bytes between a computed jump and a target that is worth following: it is then likely the same function's. */
const NEAR = 768;
const NONE: ReadonlySet<number> = new Set();
const MAX_BLOCK_LENGTH = 64;
/** More instructions than a region executes between two looks at their limit, and one block behind it. */
export const LONGEST_WAY = MAX_INSTRUCTIONS + MAX_MORE + 2 * MAX_BLOCK_LENGTH;
const NO_BLOCKS: ReadonlyMap<number, unknown> = new Map();

type Ending = Pick<BlockCode, 'taken' | 'next' | 'ending' | 'attends' | 'pointer'>;
type Changing<T> = { -readonly [K in keyof T]: T[K] };

/** The instruction that stops the machine: only the main loop can do that. */
const stops = ({ encoding }: Decoded): boolean => encoding.definition.name === 'HLT';
/** An instruction that may change how code runs: the region is left there for whatever comes next. */
const isBarrier = ({ encoding }: Decoded): boolean => encoding.definition.endsBlock === true;
/** An instruction behind which an interrupt may be due. */
const mayEnableInterrupts = ({ encoding }: Decoded): boolean => encoding.definition.holdsInterrupts === true;

const built = new BlockCache();

/** One block; undefined where not even its first instruction can be part of a region. */
function readBlock(
  code: KnownCode,
  start: number,
  size: CodeSize,
  starts: ReadonlyMap<number, unknown>,
  flags?: KnownFlags,
): RegionBlock | undefined {
  const { bytes, frame } = code.page(start)!;
  const within = KnownCode.within(start);
  const base = start - within;
  const place = { start: within, base, size, physical: code.physical(start), bytes: bytes.subarray(within), flags };
  let block = built.find(place, starts);
  if (block === undefined) {
    block = buildBlock(place, starts);
    if (block === undefined) return readCrossing(code, place, frame);
    built.add(place, block, !alwaysLeaves(block.statements) && starts.has(endOf(block) + base));
  }
  return { ...placed(block, base), base, frames: [frame] };
}

/** A block of one instruction, which goes on in the next page; undefined unless code there was executed that follows it. */
function readCrossing(code: KnownCode, place: BlockPlace, frame: number): RegionBlock | undefined {
  const { base, bytes } = place;
  const next = base + PAGE_SIZE;
  let page: KnownPage | undefined;
  for (let length = 1; length < MAX_LENGTH && page === undefined; length++) page = code.page(next + length);
  if (page === undefined || bytes.length >= MAX_LENGTH) return undefined;
  const both = joined([bytes, page.bytes.subarray(0, MAX_LENGTH - bytes.length)]);
  const block = buildBlock({ ...place, bytes: both }, NO_BLOCKS, 1);
  if (block === undefined || !code.isWanted(endOf(block) + base)) return undefined;
  return { ...placed(block, base), base, frames: [frame, page.frame] };
}

/** The block with its offsets from the entry's page. */
function placed(block: BlockCode, base: number): BlockCode {
  if (base === 0) return block;
  const at = (offset: number | undefined): number | undefined => (offset === undefined ? undefined : offset + base);
  return {
    ...block,
    offset: block.offset + base,
    instructions: block.instructions.map((i) => ({ ...i, offset: i.offset + base })),
    taken: at(block.taken),
    next: at(block.next),
    pointer: at(block.pointer),
  };
}

function buildBlock(
  place: BlockPlace,
  starts: ReadonlyMap<number, unknown>,
  most = MAX_BLOCK_LENGTH,
): BlockCode | undefined {
  const b = new BlockBuilder(undefined);
  const block = buildWith(b, place, starts, most);
  const [, ...later] = b.looks.found;
  if (later.every((look) => look.length === 0)) return block;
  // Once more, with one look at all that the registers held before.
  return buildWith(new BlockBuilder(undefined, false, b.looks.found.flat()), place, starts, most);
}
function buildWith(
  b: BlockBuilder,
  { start, base, size, bytes, flags }: BlockPlace,
  starts: ReadonlyMap<number, unknown>,
  most: number,
): BlockCode | undefined {
  if (flags !== undefined) assume(b, flags);
  const instructions: Changing<RegionInstruction>[] = [];
  let at = start;
  const block = (ending: Ending): BlockCode => ({
    offset: start,
    ...finished(b, instructions),
    ...ending,
  });
  while (at - start < bytes.length) {
    const result = decode(bytes, size, at - start);
    if (typeof result === 'string' || stops(result) || instructions.length === most) break;
    // What another block has already is not translated twice.
    if (at !== start && starts.has(at + base)) break;
    const stores = b.instruction(result, at);
    const narrowing = narrowingOf(b.statements.slice(instructions.at(-1)?.end));
    instructions.push({ offset: at, length: result.fields.length, end: b.statements.length, stores, narrowing });
    at += result.fields.length;
    if (isBarrier(result)) return block({ ...PLAIN, next: undefined });
    if (mayEnableInterrupts(result)) return block({ ...PLAIN, attends: true, next: at });
    if (alwaysLeaves(b.statements)) return block(endOfJump(result, at, b));
  }
  return instructions.length === 0 ? undefined : block({ ...PLAIN, next: at });
}
const PLAIN = { taken: undefined, ending: 'plain', attends: false, pointer: undefined } as const;

/** How a block ends behind an instruction that always leaves, at offset `end`. */
function endOfJump(d: Decoded, end: number, b: BlockBuilder): Ending {
  const { fields, parameters } = d;
  // REP goes back to itself over link 0.
  const taken =
    parameters.rep !== 'none' ? end - fields.length : (end + Number(BigInt.asIntN(64, fields.immediate))) | 0;
  const computed = b.jumps(undefined);
  return {
    taken: b.jumps(0) ? taken : undefined,
    next: b.jumps(1) ? end : undefined,
    ending: endingOf(d, computed),
    attends: false,
    pointer: computed ? pointerOf(d, end) : undefined,
  };
}

function finished(
  b: BlockBuilder,
  instructions: readonly Changing<RegionInstruction>[],
): Pick<BlockCode, 'instructions' | 'statements' | 'plan' | 'registers' | 'readsFlags' | 'flags'> {
  const statements = withoutDeadFlags(b.statements, instructions);
  const plan = planOf(statements);
  return {
    statements,
    instructions,
    plan,
    registers: registersUsed(statements),
    readsFlags: readsFlags(statements),
    flags: flagsBehind(statements, plan.recipes, b.flags.origin),
  };
}

/** Of an instruction that ends at an offset: where its operand is, if it lies at a constant distance. */
function pointerOf({ fields, parameters }: Decoded, end: number): number | undefined {
  const { memory, segmented } = parameters;
  const isConstant = memory && !segmented && fields.rm === IP_BASE_AT && fields.index === ZERO_AT;
  return isConstant ? end + Number(BigInt.asIntN(32, BigInt(fields.displacement))) : undefined;
}
function endingOf({ encoding }: Decoded, computed: boolean): RegionBlock['ending'] {
  const { name } = encoding.definition;
  if (name === 'CALL') return computed ? 'computedCall' : 'call';
  if (name === 'RET') return 'return';
  return computed ? 'computed' : 'plain';
}

const isIndirect = ({ ending }: RegionBlock): boolean => ending === 'computed' || ending === 'computedCall';
/** A call of something that may be part of the region. */
const comesBack = ({ ending, taken }: RegionBlock): boolean =>
  ending === 'computedCall' || (ending === 'call' && taken !== undefined);

/** What is known of where the computed jump or call goes that ends a block. */
function knownTargets(block: RegionBlock, code: KnownCode): KnownTargets {
  const pointed = block.pointer === undefined ? undefined : code.pointedTo(block.pointer);
  return {
    last: pointed ?? code.ledTo(block.offset, block.instructions.length - 1),
    near: code.indirect().filter((target) => Math.abs(target - block.offset) < NEAR),
  };
}
/** Where computed jumps of the region and of `block` may go, of the places that such jumps went to before. */
function targetsOf(block: RegionBlock, code: KnownCode, returns: ReadonlySet<number>): readonly number[] {
  const returned = returns.size === 0 ? [] : code.indirect().filter((target) => returns.has(target));
  if (!isIndirect(block)) return returned;
  const { last, near } = knownTargets(block, code);
  return [...returned, ...near, ...(last === undefined ? [] : [last])];
}

/** At the end of a block's page, where instructions begin that are on two pages and have no records that count. */
function mayCross(code: KnownCode, block: RegionBlock, offset: number): boolean {
  const isAtEnd = offset - block.base < PAGE_SIZE && offset - block.base > PAGE_SIZE - MAX_LENGTH;
  return isAtEnd && code.record(offset) === undefined;
}

/**
 * The blocks that branches reach from `entry`: direct ones to what was executed before, and computed ones to places that are
 * known to be their targets.
 * No blocks where the entry cannot be translated.
 */
export function readRegion(code: KnownCode, entry: number, size: CodeSize): Region {
  const blocks = new Map<number, RegionBlock>();
  const returns = new Set<number>();
  let returning = false;
  const queue = [entry];
  let instructions = 0;
  while (queue.length > 0 && blocks.size < MAX_BLOCKS && instructions < MAX_INSTRUCTIONS) {
    const offset = queue.shift()!;
    if (blocks.has(offset)) continue;
    const block = readBlock(code, offset, size, blocks);
    if (block === undefined) continue;
    blocks.set(offset, block);
    instructions += block.instructions.length;
    for (const successor of [block.taken, block.next])
      if (successor !== undefined && (code.isWanted(successor) || mayCross(code, block, successor)))
        queue.push(successor);
    if (comesBack(block)) returns.add(endOf(block));
    returning ||= block.ending === 'return';
    queue.push(...targetsOf(block, code, returning ? returns : NONE));
  }
  for (const block of runningIntoLoops(blocks)) {
    blocks.set(block.offset, readBlock(code, block.offset, size, blocks)!);
  }
  const ways = waysOf(blocks, (block) => knownTargets(block, code));
  const region = { blocks: reachedBlocks(blocks, entry, ways), ...ways };
  return { ...region, blocks: withKnownFlags(region, (block, flags) => readAgain(code, block, size, flags)) };
}
/** Those that are reached from the entry: what lies where computed jumps go may be reached by none of the region's. */
function reachedBlocks(
  blocks: ReadonlyMap<number, RegionBlock>,
  entry: number,
  { guesses, targets }: Ways,
): RegionBlock[] {
  const reached = new Set(blocks.has(entry) ? [entry] : []);
  // What is added while it is walked through is walked through too.
  for (const offset of reached) {
    const block = blocks.get(offset)!;
    const computed = isComputed(block) ? (guesses.get(offset) ?? targets) : [];
    for (const to of [block.taken, block.next, ...computed]) if (to !== undefined && blocks.has(to)) reached.add(to);
  }
  return [...reached].map((offset) => blocks.get(offset)!);
}
/** The same block, which knows the flags where it starts. */
function readAgain(code: KnownCode, block: RegionBlock, size: CodeSize, flags: KnownFlags): RegionBlock {
  return readBlock(code, block.offset, size, new Map([[endOf(block), block]]), flags)!;
}

/**
 * Blocks that have the start of a loop in their middle, which was found after them. They shall end there: a loop that is entered behind its
 * start as well, by the first round in such a block, makes the graph irreducible.
 */
function runningIntoLoops(blocks: ReadonlyMap<number, RegionBlock>): RegionBlock[] {
  const all = [...blocks.values()];
  const loops = all.flatMap((b) =>
    b.ending === 'plain' && b.taken !== undefined && b.taken < endOf(b) && blocks.has(b.taken) ? [b.taken] : [],
  );
  return all.filter((b) => b.instructions.some(({ offset }) => offset !== b.offset && loops.includes(offset)));
}

function isFull(blocks: readonly RegionBlock[]): boolean {
  const instructions = blocks.reduce((sum, b) => sum + b.instructions.length, 0);
  return blocks.length >= MAX_BLOCKS || instructions >= MAX_INSTRUCTIONS;
}

/** Where a region's computed jumps are, and where they may go, for who learns of a new target. */
export interface Reach {
  /** Blocks that end in a jump to a computed address. */
  readonly computed: readonly number[];
  /** Behind its calls, where it returns at all. */
  readonly returns: readonly number[];
  /** Where branches leave it. */
  readonly exits: readonly number[];
  readonly known: readonly number[];
}
export function reachOf({ blocks, targets, guesses }: Region): Reach {
  // What is as large as it may be gains one block only for another.
  if (isFull(blocks)) return { computed: [], returns: [], exits: [], known: [] };
  const returning = blocks.some((b) => b.ending === 'return');
  return {
    computed: blocks.filter(isIndirect).map((b) => b.offset),
    returns: returning ? blocks.filter(comesBack).map(endOf) : [],
    exits: blocks
      .flatMap(({ taken, next }) => [taken, next])
      .filter((o) => o !== undefined)
      .filter((o) => !blocks.some((b) => b.offset === o)),
    known: [...targets, ...[...guesses.values()].flat()],
  };
}
/** The region could go to `target` without being left, if it were made anew. */
export function mayGoTo({ computed, returns, exits, known }: Reach, target: number): boolean {
  if (known.includes(target)) return false;
  return (
    exits.includes(target) || returns.includes(target) || computed.some((offset) => Math.abs(target - offset) < NEAR)
  );
}
