/** Operands as text, from their codes and the decoded fields. */
import type { Decoded } from './decoder.ts';
import { fixedRegister, operandWidth, parseOperand } from './operands.ts';
import type { CodeSize } from './prefixes.ts';
import { DS_AT, ES_AT, IP_BASE_AT, SEGMENT_NAMES, SEGMENT_STRIDE, SS_AT, ZERO_AT } from './state.ts';

/** One instruction on its way to text. */
export interface Listing {
  readonly decoded: Decoded;
  readonly mode: CodeSize;
  /** The instruction pointer of its first byte. */
  readonly address: bigint;
}

const LOW_BYTES = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'] as const;
const HIGH_BYTES = ['ah', 'ch', 'dh', 'bh'] as const;
const WORDS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'] as const;

/** The general register at a byte offset of `GPR`. */
export function generalName(at: number, width: number): string {
  if (at % 8 === 1) return HIGH_BYTES[at >> 3];
  const n = at >> 3;
  if (n >= 8) return `r${n}${{ 8: 'b', 16: 'w', 32: 'd' }[width] ?? ''}`;
  if (width === 8) return LOW_BYTES[n];
  return { 16: '', 32: 'e', 64: 'r' }[width] + WORDS[n];
}

/** `9`, `0Ah`, `10h`; with `digits` padded by zeros from 10 up. */
export function numberText(value: bigint, digits = 0): string {
  if (value < 10n) return value.toString();
  const hex = value.toString(16).toUpperCase().padStart(digits, '0');
  return `${hex[0] > '9' ? '0' : ''}${hex}h`;
}

const SIZE_NAMES: Readonly<Record<number, string>> = {
  8: 'byte',
  16: 'word',
  32: 'dword',
  48: 'fword',
  64: 'qword',
  80: 'tbyte',
  112: 'fpuenv14',
  128: 'xmmword',
  224: 'fpuenv28',
  752: 'fpustate94',
  864: 'fpustate108',
};
export const sizeText = (width: number): string => (width === 0 ? '' : `${SIZE_NAMES[width]} ptr `);

function displacementText(value: bigint, isFirst: boolean, addressSize: number): string {
  if (isFirst) return numberText(BigInt.asUintN(addressSize, value));
  if (value === 0n) return '';
  return value < 0n ? `-${numberText(-value)}` : `+${numberText(value)}`;
}

function segmentText(segment: number, normal: number): string {
  return segment === normal ? '' : `${SEGMENT_NAMES[segment / SEGMENT_STRIDE].toLowerCase()}:`;
}

/** In brackets: what lies between them of a ModRM operand. */
function addressText({ decoded, address }: Listing): string {
  const { fields, parameters } = decoded;
  const { addressSize } = parameters;
  const displacement = BigInt(fields.displacement);
  if (fields.rm === IP_BASE_AT)
    return numberText(BigInt.asUintN(addressSize, address + BigInt(fields.length) + displacement));
  const parts: string[] = [];
  if (fields.rm !== ZERO_AT) parts.push(generalName(fields.rm, addressSize));
  if (fields.index !== ZERO_AT) {
    const isScaled = fields.scale !== 0 || fields.rm === ZERO_AT;
    parts.push(generalName(fields.index, addressSize) + (isScaled ? `*${1 << fields.scale}` : ''));
  }
  return parts.join('+') + displacementText(displacement, parts.length === 0, addressSize);
}

/** An address that is not used for access: LEA. */
export function bareAddressText(listing: Listing): string {
  return `[${addressText(listing)}]`;
}

/** The segment of a ModRM operand without a prefix. */
function normalSegment({ decoded }: Listing): number {
  const { rm } = decoded.fields;
  return rm === 4 * 8 || rm === 5 * 8 ? SS_AT : DS_AT;
}

export function memoryText(listing: Listing, width: number): string {
  const segment = segmentText(listing.decoded.fields.segment, normalSegment(listing));
  return `${sizeText(width)}${segment}[${addressText(listing)}]`;
}

/** An operand at a general register of the address size: of string instructions and XLAT. */
function pointerText(listing: Listing, register: number, width: number, segment: number, normal: number): string {
  const name = generalName(register * 8, listing.decoded.parameters.addressSize);
  return `${sizeText(width)}${segmentText(segment, normal)}[${name}]`;
}

/** The target of a relative jump. */
function targetText({ decoded, mode, address }: Listing, isShort: boolean): string {
  const { fields, parameters } = decoded;
  const width = mode === 64 ? 64 : parameters.operandSize;
  const target = BigInt.asUintN(width, address + BigInt(fields.length) + fields.immediate);
  return `${isShort ? 'short ' : ''}${numberText(target, width / 4)}`;
}

function farText({ decoded }: Listing): string {
  const { fields, parameters } = decoded;
  return `${numberText(fields.immediate, parameters.operandSize / 4)},${numberText(BigInt(fields.displacement), 4)}`;
}

/** `value` at the width that the operand has: Ib alone is not extended. */
function immediateText({ decoded }: Listing, size: string, value: bigint): string {
  const width = { b: 8, w: 16 }[size] ?? decoded.parameters.operandSize;
  return numberText(BigInt.asUintN(width, value));
}

type OperandWriter = (listing: Listing, width: number, code: string) => string;

const inRegister =
  (file: string, field: 'reg' | 'rm'): OperandWriter =>
  ({ decoded }) =>
    `${file}${decoded.fields[field] / 16}`;
const registerOrMemory =
  (register: OperandWriter): OperandWriter =>
  (listing, width, code) =>
    listing.decoded.parameters.memory ? memoryText(listing, width) : register(listing, width, code);
const general =
  (field: 'reg' | 'rm'): OperandWriter =>
  ({ decoded }, _width, code) =>
    generalName(decoded.fields[field], operandWidth(code, decoded.parameters));

/** By addressing; X, Y and B are the operands of string instructions and XLAT, which their rows do not name. */
const WRITERS: Readonly<Record<string, OperandWriter>> = {
  E: registerOrMemory(general('rm')),
  M: memoryText,
  G: general('reg'),
  Z: general('reg'),
  R: general('rm'),
  V: inRegister('xmm', 'reg'),
  W: registerOrMemory(inRegister('xmm', 'rm')),
  U: inRegister('xmm', 'rm'),
  P: inRegister('mm', 'reg'),
  Q: registerOrMemory(inRegister('mm', 'rm')),
  N: inRegister('mm', 'rm'),
  I: (listing, _width, code) => immediateText(listing, parseOperand(code).size, listing.decoded.fields.immediate),
  J: (listing, _width, code) => targetText(listing, parseOperand(code).size === 'b'),
  A: farText,
  O: ({ decoded: { fields } }, width) =>
    `${sizeText(width)}${segmentText(fields.segment, DS_AT)}[${numberText(fields.immediate)}]`,
  S: ({ decoded }) => SEGMENT_NAMES[decoded.fields.reg / SEGMENT_STRIDE].toLowerCase(),
  C: ({ decoded }) => `cr${decoded.fields.reg}`,
  D: ({ decoded }) => `dr${decoded.fields.reg}`,
  STi: ({ decoded }) => `st(${decoded.fields.rm})`,
  ST0: () => 'st',
  X: (listing, width) => pointerText(listing, 6, width, listing.decoded.fields.segment, DS_AT),
  Y: (listing, width) => {
    // ES is named where the other operand's segment is not the normal one.
    const isNamed = listing.decoded.fields.segment !== DS_AT;
    return pointerText(listing, 7, width, ES_AT, isNamed ? DS_AT : ES_AT);
  },
  B: (listing, width) => pointerText(listing, 3, width, listing.decoded.fields.segment, DS_AT),
};

/** One operand. `width`: its bits in memory where the code does not tell. */
export function operandText(listing: Listing, code: string, width?: number): string {
  const { parameters } = listing.decoded;
  const fixed = fixedRegister(code);
  if (fixed !== undefined) return generalName(fixed * 8, operandWidth(code, parameters));
  const writer = WRITERS[parseOperand(code).addressing];
  return writer?.(listing, width ?? operandWidth(code, parameters), code) ?? code.toLowerCase();
}

/** A second immediate, which is kept in the displacement. */
export function secondImmediateText(listing: Listing, code: string): string {
  return immediateText(listing, parseOperand(code).size, BigInt(listing.decoded.fields.displacement));
}
