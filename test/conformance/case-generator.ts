/** Random cases: registers, memory and a few instructions. */
import type { Encoding } from '../../src/isa/x86/definition.ts';
import { ENCODINGS } from '../../src/isa/x86/instruction-set.ts';
import type { Case } from './cpu-case.ts';
import { alwaysFaults, exclusion, LOADED_STATE, STORED_POINTERS } from './cpu-exclusions.ts';
import { writeExtended, writeInteger, writeVector } from './float-values.ts';
import {
  type Generated,
  generateInstruction,
  interestingValue,
  layOut,
  type Mode,
  POINTER_REGISTERS,
  STACK_POINTER,
} from './instruction-generator.ts';
import { CODE_BYTES, CODE_PAGE, FX_BYTES, PAGE_SIZE, SCRATCH_PAGE } from './native-layout.ts';
import type { Random } from './random.ts';

export interface GeneratedCase extends Case {
  readonly instructions: readonly Generated[];
  /** Parts of the scratch page that are not compared. */
  readonly ignored: readonly (readonly [from: number, to: number])[];
}

const MAX_INSTRUCTIONS = 8;
/** Where FXSAVE and the like are made to store. */
const STORE_OFFSET = 0x200;
/** A place in the scratch page that holds the address of the case's end: the target of indirect branches. */
const END_SLOT = 0xf00;
const RFLAGS_RANDOM = 0x8d5;
const RFLAGS_DF = 0x400;
const RFLAGS_BASE = 0x202;
/** A vector of memory that SSE can load: aligned. */
const VECTOR_BYTES = 16;

/** Rows by name, so that names with many rows are not met more often; per mode. */
function candidates(mode: Mode): readonly (readonly Encoding[])[] {
  const excluded = mode === 64 ? 'i64' : 'o64';
  const names = new Map<string, Encoding[]>();
  for (const e of ENCODINGS) {
    if (exclusion(e) !== undefined || e.attributes.has(excluded) || (mode === 32 && e.attributes.has('w1'))) continue;
    names.set(e.definition.name, [...(names.get(e.definition.name) ?? []), e]);
  }
  return [...names.values()];
}
const CANDIDATES = { 32: candidates(32), 64: candidates(64) } as const;

/** Rows that a run can meet. */
export const COMPARED: ReadonlySet<Encoding> = new Set([...CANDIDATES[32], ...CANDIDATES[64]].flat());

function pointers(random: Random): Map<number, number> {
  const map = new Map<number, number>();
  for (const n of [...POINTER_REGISTERS, STACK_POINTER]) {
    const offset = 0x280 + random.below(0x980);
    map.set(n, random.chance(0.8) ? offset & ~15 : offset);
  }
  map.set(STACK_POINTER, map.get(STACK_POINTER)! & ~7);
  return map;
}

function pick(random: Random, mode: Mode, only: readonly Encoding[] | undefined): Encoding {
  const encoding = random.pick(only ?? random.pick(CANDIDATES[mode]));
  return only === undefined && alwaysFaults(encoding) && random.chance(0.95) ? pick(random, mode, only) : encoding;
}

function generateInstructions(
  random: Random,
  mode: Mode,
  place: { pointers: ReadonlyMap<number, number>; count: number },
  only: readonly Encoding[] | undefined,
): { instructions: Generated[]; ignored: GeneratedCase['ignored'] } {
  const instructions: Generated[] = [];
  const wanted = 1 + random.below(MAX_INSTRUCTIONS);
  while (instructions.length < wanted) {
    const encoding = pick(random, mode, only);
    const { name } = encoding.definition;
    const stored = STORED_POINTERS[name];
    const isIndirect = /^(JMP|CALL)$/.test(name) && encoding.operands[0] === 'Ev';
    const loaded = random.chance(0.7) ? LOADED_STATE[name] : undefined;
    const fixed = stored !== undefined ? STORE_OFFSET : isIndirect ? END_SLOT : loaded;
    const generated = generateInstruction({ random, encoding, mode, ...place }, fixed);
    if (generated === undefined) continue;
    if (name === 'POPF') instructions.push(pushFlags(random, isWord(generated)), { ...generated, joined: true });
    else instructions.push(generated);
    // What it stored must not be read again.
    if (stored !== undefined)
      return { instructions, ignored: stored.map(([from, to]) => [STORE_OFFSET + from, STORE_OFFSET + to]) };
  }
  return { instructions, ignored: [] };
}

const [PUSH_IMMEDIATE] = ENCODINGS.filter((e) => e.definition.name === 'PUSH' && e.operands[0] === 'Iz');
const RFLAGS_POPPED = 0x3ed5;

/** 66 counts where REX.W does not override it. */
function isWord({ bytes }: Generated): boolean {
  return bytes.includes(0x66) && !bytes.some((byte) => (byte & 0xf8) === 0x48);
}

/**
 * A value for POPF. Not among its bits: TF, which would trap; NT, AC and ID, which a signal frame does not reset for the next case.
 */
function pushFlags(random: Random, is16: boolean): Generated {
  const flags = random.u32() & RFLAGS_POPPED;
  const immediate = [flags & 0xff, flags >> 8, ...(is16 ? [] : [0, 0])];
  return {
    encoding: PUSH_IMMEDIATE,
    bytes: [...(is16 ? [0x66] : []), 0x68, ...immediate],
    branch: undefined,
    relative: undefined,
  };
}

const EXCEPTION_BITS = 0x3f;
const FCW_DEFAULT = 0x37f;
const FSW_ERROR = 0x8080;

function writeX87(random: Random, fx: Uint8Array, view: DataView): void {
  const masks = random.chance(0.8) ? EXCEPTION_BITS : random.below(64);
  const fcw = random.chance(0.5) ? (FCW_DEFAULT & ~EXCEPTION_BITS) | masks : (random.below(16) << 8) | 0x40 | masks;
  const exceptions = random.chance(0.7) ? 0 : random.below(64);
  const isPending = (exceptions & ~fcw & EXCEPTION_BITS) !== 0;
  view.setUint16(0, fcw, true);
  view.setUint16(2, ((random.below(256) << 8) & 0x7f00) | exceptions | (isPending ? FSW_ERROR : 0), true);
  fx[4] = random.chance(0.3) ? random.below(256) : random.chance(0.5) ? 0xff : 0xff & ~(1 << random.below(8));
  for (let i = 0; i < 8; i++) (random.chance(0.2) ? writeInteger : writeExtended)(random, view, 32 + 16 * i);
}

const MXCSR_MASKS = 0x1f80;
const MXCSR_DAZ = 0x40;
const MXCSR_FTZ = 0x8000;

export function randomMxcsr(random: Random): number {
  const masks = random.chance(0.85) ? MXCSR_MASKS : random.below(64) << 7;
  const sticky = random.chance(0.7) ? 0 : random.below(64);
  const modes = (random.chance(0.2) ? MXCSR_DAZ : 0) | (random.chance(0.2) ? MXCSR_FTZ : 0);
  return masks | sticky | modes | (random.chance(0.5) ? random.below(4) << 13 : 0);
}

function floatingPoint(random: Random, mode: Mode): Uint8Array {
  const fx = new Uint8Array(FX_BYTES);
  const view = new DataView(fx.buffer);
  writeX87(random, fx, view);
  view.setUint32(24, randomMxcsr(random), true);
  for (let i = 0; i < (mode === 64 ? 16 : 8); i++) writeVector(random, view, 160 + 16 * i);
  return fx;
}

function vectors(random: Random): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE);
  const view = new DataView(page.buffer);
  for (let at = 0; at < PAGE_SIZE; at += VECTOR_BYTES) writeVector(random, view, at);
  return page;
}
/** Few full pages, made once for a stream of random numbers; each case varies one of them. */
const pages = new WeakMap<Random, readonly Uint8Array[]>();

function scratchPage(random: Random, end: bigint, stack: number): Uint8Array {
  let templates = pages.get(random);
  if (templates === undefined) pages.set(random, (templates = Array.from({ length: 16 }, () => vectors(random))));
  const scratch = random.pick(templates).slice();
  const view = new DataView(scratch.buffer);
  for (let i = 0; i < 8; i++) writeVector(random, view, random.below(PAGE_SIZE / VECTOR_BYTES) * VECTOR_BYTES);
  // A state that FXRSTOR takes, and control words that LDMXCSR and FLDCW take, at the places that fixed operands have.
  view.setUint32(STORE_OFFSET + 24, randomMxcsr(random), true);
  view.setBigUint64(END_SLOT, end, true);
  if (random.chance(0.3)) for (let i = 0; i < 4; i++) view.setBigUint64(stack + 8 * i, end, true);
  return scratch;
}

function generalRegisters(
  random: Random,
  map: ReadonlyMap<number, number>,
  count: number,
  end: bigint,
): BigUint64Array {
  const general = BigUint64Array.from({ length: 16 }, () => interestingValue(random));
  for (const [n, offset] of map) general[n] = BigInt(SCRATCH_PAGE + offset);
  general[1] = BigInt(count);
  if (random.chance(0.3)) general[15] = end;
  return general;
}

/** `only`: rows to draw from. */
export function generateCase(random: Random, only?: readonly Encoding[]): GeneratedCase {
  const mode: Mode = random.chance(0.25) ? 32 : 64;
  const here = only?.filter(
    (e) => !e.attributes.has(mode === 64 ? 'i64' : 'o64') && !(mode === 32 && e.attributes.has('w1')),
  );
  const map = pointers(random);
  const count = random.chance(0.9) ? random.below(12) : random.below(80);
  const { instructions, ignored } = generateInstructions(
    random,
    mode,
    { pointers: map, count },
    here?.length === 0 ? undefined : here,
  );
  const { code } = layOut(random, instructions);
  const end = BigInt(CODE_PAGE + code.length - 1);
  const general = generalRegisters(random, map, count, end);
  if (mode === 32) for (let i = 0; i < 16; i++) general[i] = i < 8 ? general[i] & 0xffff_ffffn : 0n;
  return {
    mode,
    instructions,
    ignored,
    code: Uint8Array.from({ length: CODE_BYTES }, (_, i) => code[i] ?? 0xcc),
    general,
    rip: BigInt(CODE_PAGE),
    flags: RFLAGS_BASE | (random.u32() & RFLAGS_RANDOM) | (random.chance(0.1) ? RFLAGS_DF : 0),
    fx: floatingPoint(random, mode),
    scratch: scratchPage(random, end, map.get(STACK_POINTER)!),
  };
}
