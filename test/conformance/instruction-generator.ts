/** Random instructions of a given row, whose memory operands lie in the scratch page while the pointer registers are as they began. */
import { decode } from '../../src/isa/x86/decoder.ts';
import type { Encoding } from '../../src/isa/x86/definition.ts';
import { fixedRegister, operandWidth, parseOperand } from '../../src/isa/x86/operands.ts';
import { CODE_PAGE, FS_BASE, GS_BASE, PAGE_SIZE, SCRATCH_PAGE } from './native-layout.ts';
import type { Random } from './random.ts';

export type Mode = 32 | 64;

export interface Generated {
  readonly encoding: Encoding;
  readonly bytes: number[];
  /** The instruction before must be executed too: no branch may go here. */
  readonly joined?: true;
  /** A relative branch: where its displacement lies, and its size. */
  readonly branch: { readonly at: number; readonly size: 1 | 2 | 4 } | undefined;
  /** A RIP-relative operand: where its displacement lies, and the address it is for. */
  readonly relative: { readonly at: number; readonly target: number } | undefined;
}

/** Offsets in the scratch page that registers hold at first. */
export type Pointers = ReadonlyMap<number, number>;

/** RBX, RBP, RSI, RDI, R12, R13 and the stack pointer. */
export const POINTER_REGISTERS = [3, 5, 6, 7, 12, 13] as const;
export const STACK_POINTER = 4;
/** RCX is small at first: a shift count, a repeat count, an index. */
export const COUNT_REGISTER = 1;
/** RAX, RCX, RDX, R8…R11, R14, R15. */
const FREE_REGISTERS = [0, 1, 2, 8, 9, 10, 11, 14, 15] as const;

const ESCAPES = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]] as const;
const MANDATORY: Readonly<Record<string, readonly number[]>> = { '66': [0x66], F2: [0xf2], F3: [0xf3] };
const REG_FIELD = 'GVPSCD';
const RM_FIELD = 'EWQURN';

const littleEndian = (value: bigint, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));

interface Place {
  readonly random: Random;
  readonly encoding: Encoding;
  readonly mode: Mode;
  readonly pointers: Pointers;
  /** RCX at first. */
  readonly count: number;
}

/** Prefix bytes and REX as they are being decided. */
interface Draft {
  prefixes: number[];
  rex: number;
  modrm: number[];
  operandSize: 16 | 32 | 64;
  addressSize: 32 | 64;
  relative: number | undefined;
}

function pickGeneral({ random, mode }: Place): number {
  const n = random.chance(0.88) ? random.pick(FREE_REGISTERS) : random.below(16);
  if (mode === 32) return n < 8 ? n : n % 3;
  return n === STACK_POINTER && random.chance(0.8) ? 0 : n;
}

function pickRegister(place: Place, code: string): number {
  const { random, mode } = place;
  const { addressing } = parseOperand(code);
  if ('VWU'.includes(addressing)) return random.chance(0.6) ? random.below(4) : random.below(mode === 64 ? 16 : 8);
  if ('PQN'.includes(addressing) || addressing === 'STi') return random.below(8);
  // The bit offset of BT into memory and other indexes stay in the page when small.
  return random.chance(0.15) ? COUNT_REGISTER : pickGeneral(place);
}

const SIZED = /^[EGZRMOrVWU].*[vyz]$|^rAX$|^zAX$|^Iz$/;

function choosePrefixes({ random, encoding: e, mode }: Place, draft: Draft): void {
  const sized = e.operands.length === 0 || e.operands.some((code) => SIZED.test(code));
  const takes66 = e.prefix === undefined || e.prefix === 'F2' || e.prefix === 'F3';
  const isNear = e.attributes.has('f64') || e.operands.some((code) => code.startsWith('J'));
  if (sized && takes66 && !isNear && random.chance(0.15)) draft.prefixes.push(0x66);
  if (mode === 64 && (e.attributes.has('w1') || (!e.attributes.has('w0') && random.chance(sized ? 0.35 : 0.03))))
    draft.rex |= 8;
  if (mode === 64 && random.chance(0.05)) draft.rex |= 0x40;
  if (random.chance(0.02)) draft.prefixes.push(mode === 64 ? random.pick([0x26, 0x2e, 0x36, 0x3e]) : 0x3e);
  if (e.attributes.has('rep') && random.chance(0.7)) draft.prefixes.push(random.pick([0xf3, 0xf3, 0xf2]));
  draft.prefixes.push(...(MANDATORY[e.prefix ?? ''] ?? []));
  const is16 = draft.prefixes.includes(0x66) && e.prefix !== '66';
  draft.operandSize = draft.rex & 8 ? 64 : is16 ? 16 : e.attributes.has('d64') && mode === 64 ? 64 : 32;
}

/** Bytes that the memory operand has, as far as its row tells. */
function memoryBytes({ encoding: e, mode }: Place, draft: Draft): number {
  const code = e.operands.find((o) => /^[EMWQ]/.test(o) && fixedRegister(o) === undefined);
  const parameters = {
    operandSize: draft.operandSize,
    addressSize: 64,
    long: mode === 64,
    memory: true,
    segmented: false,
    rep: 'none',
  } as const;
  const width = code === undefined ? 0 : operandWidth(code, parameters);
  return width === 0 ? 16 : width / 8;
}

/** An offset in the scratch page: mostly aligned, now and then so near to the end that the operand does not fit. */
function pickOffset({ random }: Place, bytes: number): number {
  if (random.chance(0.02)) return PAGE_SIZE - 1 - random.below(bytes);
  const offset = random.below(PAGE_SIZE - 512);
  return random.chance(0.93) ? offset - (offset % Math.max(bytes, 16)) : offset;
}

function based(place: Place, draft: Draft, reg: number, offset: number): void {
  const { random, pointers, mode } = place;
  const base = random.pick([...pointers.keys()].filter((n) => mode === 64 || n < 8));
  const withIndex = random.chance(0.25);
  const scale = random.below(4);
  const displacement = offset - pointers.get(base)! - (withIndex ? place.count << scale : 0);
  const isShort = displacement === (displacement << 24) >> 24;
  const mod = isShort ? 0x40 : 0x80;
  if (base >= 8) draft.rex |= 1;
  const rm = withIndex || (base & 7) === 4 ? 4 : base & 7;
  draft.modrm.push(mod | (reg << 3) | rm);
  if (rm === 4) draft.modrm.push((scale << 6) | ((withIndex ? COUNT_REGISTER : 4) << 3) | (base & 7));
  draft.modrm.push(...littleEndian(BigInt(displacement), isShort ? 1 : 4));
}

/** [disp32], for 64-bit mode with a SIB byte that has neither base nor index. */
function absolute({ mode }: Place, draft: Draft, reg: number, address: number): void {
  draft.modrm.push((reg << 3) | (mode === 64 ? 4 : 5));
  if (mode === 64) draft.modrm.push(0x25);
  draft.modrm.push(...littleEndian(BigInt(address), 4));
}

function chooseMemory(place: Place, draft: Draft, reg: number, fixedOffset: number | undefined): void {
  const { random, mode } = place;
  const offset = fixedOffset ?? pickOffset(place, memoryBytes(place, draft));
  const how = random.below(20);
  if (mode === 64 && how === 0) {
    const isGs = random.chance(0.5);
    draft.prefixes.unshift(isGs ? 0x65 : 0x64);
    absolute(place, draft, reg, SCRATCH_PAGE + offset - (isGs ? GS_BASE : FS_BASE));
  } else if (mode === 64 && how === 1) {
    draft.modrm.push((reg << 3) | 5, 0, 0, 0, 0);
    draft.relative = SCRATCH_PAGE + offset;
  } else if (how <= 4 || fixedOffset !== undefined) absolute(place, draft, reg, SCRATCH_PAGE + offset);
  else {
    if (mode === 64 && how === 5) draft.prefixes.unshift(0x67);
    based(place, draft, reg, offset);
  }
}

function chooseModrm(place: Place, draft: Draft, fixedOffset: number | undefined): boolean {
  const { random, encoding: e } = place;
  if (e.modrm !== undefined) {
    draft.modrm.push(e.modrm);
    return false;
  }
  const find = (letters: string): string | undefined =>
    e.operands.find(
      (o) => fixedRegister(o) === undefined && (o === 'STi' ? letters === RM_FIELD : letters.includes(o[0])),
    );
  const regCode = find(REG_FIELD);
  const reg = e.extension ?? (regCode === undefined ? random.below(8) : pickRegister(place, regCode));
  if (reg >= 8) draft.rex |= 4;
  const memory = e.form === 'mem' || (e.form === 'any' && (fixedOffset !== undefined || random.chance(0.5)));
  if (memory) {
    chooseMemory(place, draft, reg & 7, fixedOffset);
    return true;
  }
  const rmCode = find(RM_FIELD);
  const rm = rmCode === undefined ? random.below(8) : pickRegister(place, rmCode);
  if (rm >= 8) draft.rex |= 1;
  draft.modrm.push(0xc0 | ((reg & 7) << 3) | (rm & 7));
  return false;
}

const INTERESTING = [
  0n,
  1n,
  2n,
  7n,
  8n,
  15n,
  16n,
  31n,
  32n,
  63n,
  64n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0x7fffffffn,
  0x80000000n,
  -1n,
  -2n,
];

export function interestingValue(random: Random): bigint {
  if (random.chance(0.5)) return random.pick(INTERESTING);
  if (random.chance(0.1)) return 1n << BigInt(random.below(64));
  return random.u64() >> BigInt(random.below(64));
}

function immediateBytes(place: Place, draft: Draft, code: string): number {
  const { addressing, size } = parseOperand(code);
  if (addressing === 'O') return place.mode / 8;
  if (addressing === 'A') return draft.operandSize === 16 ? 4 : 6;
  if (addressing !== 'I' && addressing !== 'J') return 0;
  switch (size) {
    case 'b':
    case 'bs':
      return 1;
    case 'w':
      return 2;
    case 'v':
      return draft.operandSize / 8;
    default:
      return draft.operandSize === 16 ? 2 : 4;
  }
}

function immediates(place: Place, draft: Draft): { bytes: number[]; branch: 1 | 2 | 4 | undefined } {
  const bytes: number[] = [];
  let branch: 1 | 2 | 4 | undefined;
  for (const code of place.encoding.operands) {
    const size = immediateBytes(place, draft, code);
    if (size === 0) continue;
    if (code.startsWith('J')) branch = size as 1 | 2 | 4;
    const value = code.startsWith('O') ? BigInt(SCRATCH_PAGE + pickOffset(place, 8)) : immediateValue(place, code);
    bytes.push(...littleEndian(value, size));
  }
  return { bytes, branch };
}

function immediateValue({ random, encoding }: Place, code: string): bigint {
  // A frame of ENTER that stays in the page.
  if (encoding.definition.name === 'ENTER') return BigInt(code === 'Iw' ? random.below(64) : random.below(4));
  return interestingValue(random);
}

/** A random instruction of the row; undefined where the attempt became another row's. `fixedOffset`: where a memory operand must lie. */
export function generateInstruction(place: Place, fixedOffset?: number): Generated | undefined {
  const { random, encoding: e, mode } = place;
  const draft: Draft = { prefixes: [], rex: 0, modrm: [], operandSize: 32, addressSize: mode, relative: undefined };
  choosePrefixes(place, draft);
  const inMemory = e.hasModrm && chooseModrm(place, draft, fixedOffset);
  if (inMemory && e.definition.lockable === true && /^[EM]/.test(e.operands[0]) && random.chance(0.2))
    draft.prefixes.unshift(0xf0);
  let { opcode } = e;
  if (e.opcodeRegister) {
    const n = pickGeneral(place);
    if (n >= 8) draft.rex |= 1;
    opcode += n & 7;
  }
  const rex = draft.rex === 0 ? [] : [0x40 | draft.rex];
  const front = [...draft.prefixes, ...rex, ...ESCAPES[e.map], opcode, ...draft.modrm];
  const rest = immediates(place, draft);
  const bytes = [...front, ...rest.bytes];
  const decoded = decode(Uint8Array.from([...bytes, 0, 0]), mode);
  if (typeof decoded === 'string' || decoded.encoding !== e || decoded.fields.length !== bytes.length) return undefined;
  return {
    encoding: e,
    bytes,
    branch: rest.branch === undefined ? undefined : { at: front.length, size: rest.branch },
    relative: draft.relative === undefined ? undefined : { at: front.length - 4, target: draft.relative },
  };
}

/** Joins instructions; branches go to the start of a later one, chosen at random. INT3 follows. */
export function layOut(
  random: Random,
  instructions: readonly Generated[],
): { code: number[]; starts: readonly number[] } {
  const starts: number[] = [];
  let end = 0;
  for (const { bytes } of instructions) {
    starts.push(end);
    end += bytes.length;
  }
  const code = instructions.flatMap(({ bytes }) => bytes);
  for (const [i, { bytes, branch, relative }] of instructions.entries()) {
    const next = starts[i] + bytes.length;
    if (branch !== undefined) {
      const target = random.pick([...starts.filter((_, n) => n > i && instructions[n].joined !== true), end]);
      code.splice(starts[i] + branch.at, branch.size, ...littleEndian(BigInt(target - next), branch.size));
    }
    if (relative !== undefined) {
      code.splice(starts[i] + relative.at, 4, ...littleEndian(BigInt(relative.target - CODE_PAGE - next), 4));
    }
  }
  code.push(0xcc);
  return { code, starts };
}
