/** Where two outcomes of a case differ. */
import { GPR_NAMES } from '../../src/isa/x86/state.ts';
import type { GeneratedCase } from './case-generator.ts';
import type { Outcome } from './cpu-case.ts';

/** A bit is 1 where the manual leaves the outcome undefined. */
export interface Unknown {
  readonly general: readonly bigint[];
  readonly flags: number;
  readonly fx: readonly number[];
  readonly scratch: ReadonlySet<number>;
}

export const NOTHING_UNKNOWN: Unknown = { general: Array(16).fill(0n), flags: 0, fx: [], scratch: new Set() };

/** CF PF AF ZF SF TF DF OF NT RF AC ID. */
const COMPARED_FLAGS = 0x25_4dd5;
const PAGE_FAULT = 14;
const PRESENT = 1;
const STACK_FAULT = 12;
const GENERAL_PROTECTION = 13;
/** Linux reports faults beyond user space as protection violations, whatever is there (its last page is not used). */
const USER_END = (1n << 47n) - 0x1000n;

const hex = (value: bigint | number, digits: number): string => value.toString(16).padStart(digits, '0');

/**
 * An address relative to RSP or RBP that is not canonical raises #SS on silicon and #GP here, both with error code 0: translation does
 * not know of segments. Known, and left so.
 */
function vectorOf(c: GeneratedCase, { vector }: Outcome): number {
  return c.mode === 64 && vector === STACK_FAULT ? GENERAL_PROTECTION : vector;
}

function errorCodeOf({ vector, errorCode, faultAddress }: Outcome): number {
  return vector === PAGE_FAULT && faultAddress! >= USER_END ? errorCode & ~PRESENT : errorCode;
}

/** Fields of an FXSAVE image: FCW, FSW, tags, MXCSR, x87 and XMM registers. Not the pointers to the last instruction. */
const FX_FIELDS: readonly (readonly [name: string, at: number, size: number])[] = [
  ['FCW', 0, 2],
  ['FSW', 2, 2],
  ['FTW', 4, 1],
  ['MXCSR', 24, 4],
  ...Array.from({ length: 8 }, (_, i) => [`ST${i}`, 32 + 16 * i, 10] as const),
  ...Array.from({ length: 16 }, (_, i) => [`XMM${i}`, 160 + 16 * i, 16] as const),
];

function littleEndian(bytes: Uint8Array, at: number, size: number): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
  return value;
}

function* fxDifferences(ours: Uint8Array, theirs: Uint8Array, unknown: readonly number[]): Generator<string> {
  const mask = Uint8Array.from(unknown);
  for (const [name, at, size] of FX_FIELDS) {
    const [a, b] = [littleEndian(ours, at, size), littleEndian(theirs, at, size)];
    if (((a ^ b) & ~littleEndian(mask, at, size)) !== 0n) yield `${name} ${hex(a, size * 2)}, not ${hex(b, size * 2)}`;
  }
}

function isIgnored(c: GeneratedCase, at: number): boolean {
  return c.ignored.some(([from, to]) => at >= from && at < to);
}

function* scratchDifferences(c: GeneratedCase, ours: Outcome, theirs: Outcome, unknown: Unknown): Generator<string> {
  if (Buffer.compare(ours.scratch, theirs.scratch) === 0) return;
  for (let at = 0; at < ours.scratch.length; at++) {
    if (ours.scratch[at] === theirs.scratch[at] || unknown.scratch.has(at) || isIgnored(c, at)) continue;
    const show = (page: Uint8Array): string => Buffer.from(page.subarray(at, at + 16)).toString('hex');
    yield `memory at scratch + ${hex(at, 3)}: ${show(ours.scratch)}, not ${show(theirs.scratch)}`;
    return;
  }
}

/** Lines such as `RAX 1, not 2`: ours first. None: the outcomes agree. */
export function* differences(c: GeneratedCase, ours: Outcome, theirs: Outcome, unknown: Unknown): Generator<string> {
  const value = (name: string, a: bigint | number, b: bigint | number): string =>
    `${name} ${hex(a, 1)}, not ${hex(b, 1)}`;
  if (vectorOf(c, ours) !== vectorOf(c, theirs)) {
    yield `exception ${ours.vector}, not ${theirs.vector}`;
    if (ours.rip !== theirs.rip) yield value('RIP', ours.rip, theirs.rip);
    return;
  }
  if (ours.rip !== theirs.rip) yield value('RIP', ours.rip, theirs.rip);
  if (errorCodeOf(ours) !== errorCodeOf(theirs)) yield value('error code', ours.errorCode, theirs.errorCode);
  if (ours.faultAddress !== theirs.faultAddress) yield value('CR2', ours.faultAddress ?? 0n, theirs.faultAddress ?? 0n);
  for (let n = 0; n < (c.mode === 64 ? 16 : 8); n++) {
    const [a, b] = [ours.general[n], theirs.general[n]];
    if (((a ^ b) & ~unknown.general[n]) !== 0n) yield value(GPR_NAMES[n], a, b);
  }
  if (((ours.flags ^ theirs.flags) & COMPARED_FLAGS & ~unknown.flags) !== 0)
    yield value('RFLAGS', ours.flags, theirs.flags);
  yield* fxDifferences(ours.fx, theirs.fx, unknown.fx);
  yield* scratchDifferences(c, ours, theirs, unknown);
}

/** The bits in which outcomes differ; undefined where they end differently. */
export function unknownBetween(a: Outcome, b: Outcome, known: Unknown): Unknown | undefined {
  if (a.vector !== b.vector || a.rip !== b.rip || a.faultAddress !== b.faultAddress || a.errorCode !== b.errorCode)
    return undefined;
  const scratch = new Set(known.scratch);
  for (let at = 0; at < a.scratch.length; at++) if (a.scratch[at] !== b.scratch[at]) scratch.add(at);
  return {
    general: Array.from(a.general, (value, n) => (value ^ b.general[n]) | known.general[n]),
    flags: (a.flags ^ b.flags) | known.flags,
    fx: Array.from(a.fx, (byte, i) => (byte ^ b.fx[i]) | (known.fx[i] ?? 0)),
    scratch,
  };
}
