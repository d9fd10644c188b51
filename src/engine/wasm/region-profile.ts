/**
 * Counts how often each block of each region is executed: a block's code begins by adding one to its counter. Keeps what is needed to show
 * regions, as text and bytes.
 */
import { IrBuilder } from '../../isa/ir/builder.ts';
import { printPieces } from '../../isa/ir/printer.ts';
import { nextNumber } from '../../isa/ir/statements.ts';
import type { Statement } from '../../isa/ir/types.ts';
import { registerAt, STATE_SIZE } from '../../isa/x86/state.ts';
import { joined } from '../../joined.ts';
import { CPU_BASE, PAGE_SIZE, PROFILE_BASE, PROFILE_END, RAM_BASE } from '../layout.ts';
import { RegionListing } from './region-listing.ts';
import type { RegionWatch } from './region-watch.ts';
import { type CodeLine, printCode, readLocals } from './text/code-printer.ts';
import type { NewRegion } from './translation-events.ts';
import { planOf } from './translator/flag-lowering.ts';
import { KnownCode } from './translator/known-code.ts';
import type { Region } from './translator/region.ts';
import type { RegionBlock } from './translator/region-block.ts';

export interface ProfiledInstruction {
  /** Linear address. */
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly ir: string;
  readonly wasm: readonly string[];
}

export interface ProfiledBlock {
  readonly executions: number;
  readonly instructions: readonly ProfiledInstruction[];
}

export interface ProfiledRegion {
  /** Linear and guest-physical address of its entry. */
  readonly linear: bigint;
  readonly physical: number;
  readonly codeSize: 16 | 32 | 64;
  /** How often it was translated: anew where its code had changed or been dropped. */
  readonly translations: number;
  /** Instructions executed in it. */
  readonly instructions: number;
  readonly guestBytes: number;
  readonly wasmBytes: number;
  /** Those of the last translation, in the order of their addresses. */
  blocks(): readonly ProfiledBlock[];
}

/** A block before it is lowered. */
interface Prepared {
  readonly block: RegionBlock;
  readonly counter: number;
  /** Of each instruction. */
  readonly ir: readonly string[];
}
interface Made {
  readonly region: NewRegion;
  readonly linear: bigint;
  readonly blocks: readonly Prepared[];
  /** The bytes of its pages by page number. */
  readonly pages: ReadonlyMap<number, Uint8Array>;
}

const COUNTER_SIZE = 8;
/** Characters of IR that are kept; regions made later are shown without. */
const MOST_TEXT = 2 ** 26;

export class RegionProfile implements RegionWatch {
  #counters: BigUint64Array = new BigUint64Array(0);
  #memory = new Uint8Array(0);
  #used = 0;
  #text = 0;
  /** Blocks made when all counters were in use: their executions are not known. */
  uncounted = 0;
  readonly #prepared = new WeakMap<Region, readonly Prepared[]>();
  /** By physical address of the entry and code size; the last is the newest. */
  readonly #made = new Map<string, Made[]>();

  attach({ buffer }: WebAssembly.Memory): void {
    this.#memory = new Uint8Array(buffer);
    this.#counters = new BigUint64Array(buffer, PROFILE_BASE, (PROFILE_END - PROFILE_BASE) / COUNTER_SIZE);
    this.#counters.fill(0n);
  }

  listing(): RegionListing {
    return new RegionListing();
  }

  prepare(region: Region): Region {
    const prepared = region.blocks.map((block) => this.#prepareBlock(block));
    const blocks = prepared.map(({ block, counter }) => counted(block, counter));
    const result = { ...region, blocks };
    this.#prepared.set(result, prepared);
    return result;
  }

  #prepareBlock(block: RegionBlock): Prepared {
    const ends = block.instructions.map(({ end }) => end);
    const free = this.#used < this.#counters.length;
    if (!free) this.uncounted++;
    const ir = this.#text < MOST_TEXT ? printPieces(block.statements, ends) : [];
    for (const piece of ir) this.#text += piece.length;
    return { block, counter: free ? this.#used++ : -1, ir };
  }

  made(region: NewRegion, linear: bigint): void {
    const key = `${region.physical} ${region.size}`;
    const all = this.#made.get(key) ?? [];
    this.#made.set(key, all);
    const pages = new Map<number, Uint8Array>();
    for (const frame of region.region.blocks.flatMap(({ frames }) => frames)) {
      const at = RAM_BASE + frame * PAGE_SIZE;
      if (!pages.has(frame)) pages.set(frame, this.#memory.slice(at, at + PAGE_SIZE));
    }
    all.push({ region, linear, blocks: this.#prepared.get(region.region)!, pages });
  }

  #executions({ counter }: Prepared): number {
    return counter < 0 ? 0 : Number(this.#counters[counter]);
  }
  #instructions(all: readonly Made[]): number {
    const blocks = all.flatMap((made) => made.blocks);
    return blocks.reduce((total, b) => total + this.#executions(b) * b.block.instructions.length, 0);
  }

  /** All regions, the hottest first. */
  regions(): readonly ProfiledRegion[] {
    const regions = [...this.#made.values()].map((all) => {
      const newest = all[all.length - 1];
      const instructions = newest.blocks.flatMap(({ block }) => block.instructions);
      return {
        linear: newest.linear,
        physical: newest.region.physical,
        codeSize: newest.region.size,
        translations: all.length,
        instructions: this.#instructions(all),
        guestBytes: instructions.reduce((total, { length }) => total + length, 0),
        wasmBytes: newest.region.code.length,
        blocks: () => this.#show(newest),
      };
    });
    return regions.sort((a, b) => b.instructions - a.instructions);
  }

  #show({ region, linear, blocks, pages }: Made): readonly ProfiledBlock[] {
    const wasm = wasmByInstruction(region);
    const start = linear - BigInt(region.physical % PAGE_SIZE);
    const shown = blocks.map((prepared, n) => ({
      offset: prepared.block.offset,
      executions: this.#executions(prepared),
      instructions: prepared.block.instructions.map(({ offset, length }, i) => ({
        address: BigInt.asUintN(64, start + BigInt(offset)),
        bytes: bytesAt(
          prepared.block.frames.map((frame) => pages.get(frame)!),
          offset,
          length,
        ),
        ir: prepared.ir[i] ?? '',
        wasm: wasm.get(`${n} ${i}`) ?? [],
      })),
    }));
    return shown.sort((a, b) => a.offset - b.offset);
  }
}

/** `pages`: the one that the offset is on, and those behind it. */
const bytesAt = (pages: readonly Uint8Array[], offset: number, length: number): Uint8Array => {
  const at = KnownCode.within(offset);
  return joined(pages).subarray(at, at + length);
};

/** The block, with its counter's increment first. */
function counted(block: RegionBlock, counter: number): RegionBlock {
  if (counter < 0) return block;
  const b = new IrBuilder(nextNumber(block.statements));
  const place = b.const('i32', PROFILE_BASE + counter * COUNTER_SIZE);
  b.storeRaw(place, b.add(b.loadRaw('i64', place), 1));
  const first: readonly Statement[] = b.statements;
  const statements = [...first, ...block.statements];
  return {
    ...block,
    statements,
    plan: planOf(statements),
    instructions: block.instructions.map((i) => ({ ...i, end: i.end + first.length })),
  };
}

const nameOfPlace = (offset: number): string | undefined =>
  offset >= CPU_BASE && offset < CPU_BASE + STATE_SIZE ? registerAt(offset - CPU_BASE) : undefined;

/** Lines of WebAssembly by block and instruction. Code behind an instruction, up to the next one's, is its. */
function wasmByInstruction({ code, listing }: NewRegion): ReadonlyMap<string, readonly string[]> {
  const { codeAt } = readLocals(code);
  const lines = printCode(code.subarray(codeAt), {
    local: (index) => named(listing?.locals.get(index)),
    function: (index) => named(listing?.functions.get(index)),
    place: nameOfPlace,
  });
  const marks = listing?.marks ?? [];
  const found = new Map<string, readonly string[]>();
  for (const [i, { block, instruction, at }] of marks.entries()) {
    const end = marks[i + 1]?.at ?? code.length;
    found.set(`${block} ${instruction}`, outdent(lines.filter((line) => line.at >= at && line.at < end)));
  }
  return found;
}
const named = (name: string | undefined): string | undefined => name && `$${name}`;

function outdent(lines: readonly CodeLine[]): string[] {
  const least = Math.min(...lines.map(({ depth }) => depth));
  return lines.map(({ depth, text }) => `${'  '.repeat(depth - least)}${text}`);
}
