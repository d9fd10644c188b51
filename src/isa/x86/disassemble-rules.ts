/** What the text of an instruction has besides its definition's name and its row's operands. */
import { CONDITIONS, type Encoding } from './definition.ts';

type BySize<T> = Partial<Readonly<Record<16 | 32 | 64, T>>>;

export interface TextRule {
  /** The mnemonic, where it is not the definition's name. */
  readonly name?: string;
  readonly byOperandSize?: BySize<string>;
  readonly byAddressSize?: BySize<string>;
  /** Operand codes in place of the row's; X, Y and B (see `disassemble-operands.ts`) for those that rows leave out. */
  readonly operands?: readonly string[];
  /** Bits of the memory operand, where its code does not tell. */
  readonly memory?: number | BySize<number>;
  /** They are shown only where the operand size is not the normal one. */
  readonly memoryIfUnusual?: true;
  /** The operand size matters, though no operand shows it. */
  readonly sizePrefix?: true;
  /** The address size matters, though no operand shows it. */
  readonly addressPrefix?: true;
  /** The memory operand is an address alone. */
  readonly noSegment?: true;
  /** F3 repeats while equal. */
  readonly comparesStrings?: true;
}

const NO_RULE: TextRule = {};
const SIZED: TextRule = { sizePrefix: true };
/** m16:16, m16:32, m16:64. */
const FAR_POINTER: BySize<number> = { 16: 32, 32: 48, 64: 80 };
const FAR: TextRule = { sizePrefix: true, memory: FAR_POINTER };
const DESCRIPTOR_TABLE: TextRule = { memory: 48 };
const CACHE_LINE: TextRule = { memory: 8 };
const TEN_BYTES: TextRule = { memory: 80 };
/** The x87 environment, alone and with the registers. */
const X87_ENVIRONMENT: TextRule = { memory: { 16: 14 * 8, 32: 28 * 8 }, memoryIfUnusual: true };
const X87_STATE: TextRule = { memory: { 16: 94 * 8, 32: 108 * 8 }, memoryIfUnusual: true };

const CACHE_HINTS = [
  'CLFLUSH',
  'PREFETCH',
  'PREFETCHW',
  'PREFETCHNTA',
  'PREFETCHT0',
  'PREFETCHT1',
  'PREFETCHT2',
] as const;

/** Ports are at most 32 bits wide. */
const suffixes = (name: string): BySize<string> => ({
  16: `${name}w`,
  32: `${name}d`,
  64: name === 'ins' || name === 'outs' ? `${name}d` : `${name}q`,
});

/** The byte form and the wider form of a string instruction. */
function stringRules(
  name: string,
  opcode: number,
  operands: (size: string) => readonly string[],
): Record<string, TextRule> {
  const lower = name.toLowerCase();
  const compares = name === 'CMPS' || name === 'SCAS' ? ({ comparesStrings: true } as const) : {};
  const hex = (byte: number): string => byte.toString(16).toUpperCase();
  return {
    [`${name} ${hex(opcode)}`]: { name: `${lower}b`, operands: operands('b'), ...compares },
    [`${name} ${hex(opcode + 1)}`]: { byOperandSize: suffixes(lower), operands: operands('v'), ...compares },
  };
}

/** By name of the definition, and by name and opcode where its rows differ. */
const RULES: Readonly<Record<string, TextRule>> = {
  ...stringRules('INS', 0x6c, (size) => [size === 'b' ? 'Yb' : 'Yz', 'DX']),
  ...stringRules('OUTS', 0x6e, (size) => ['DX', size === 'b' ? 'Xb' : 'Xz']),
  ...stringRules('MOVS', 0xa4, (size) => [`Y${size}`, `X${size}`]),
  ...stringRules('CMPS', 0xa6, (size) => [`X${size}`, `Y${size}`]),
  ...stringRules('STOS', 0xaa, (size) => [`Y${size}`]),
  ...stringRules('LODS', 0xac, (size) => [`X${size}`]),
  ...stringRules('SCAS', 0xae, (size) => [`Y${size}`]),
  XLATB: { name: 'xlat', operands: ['Bb'] },
  CBW: { byOperandSize: { 32: 'cwde', 64: 'cdqe' } },
  CWD: { byOperandSize: { 32: 'cdq', 64: 'cqo' } },
  PUSHA: { byOperandSize: { 32: 'pushad' } },
  POPA: { byOperandSize: { 32: 'popad' } },
  PUSHF: { byOperandSize: { 32: 'pushfd', 64: 'pushfq' } },
  POPF: { byOperandSize: { 32: 'popfd', 64: 'popfq' } },
  IRET: { byOperandSize: { 32: 'iretd', 64: 'iretq' } },
  PUSH: SIZED,
  POP: SIZED,
  ENTER: SIZED,
  LEAVE: SIZED,
  RET: SIZED,
  RETF: { name: 'ret far', sizePrefix: true },
  JMP: SIZED,
  CALL: SIZED,
  'JMP EA': { name: 'jmp far', ...FAR },
  'JMP FF /5': { name: 'jmp far', ...FAR },
  'CALL 9A': { name: 'call far', ...FAR },
  'CALL FF /3': { name: 'call far', ...FAR },
  ...Object.fromEntries(CONDITIONS.map((condition) => [`J${condition}`, SIZED])),
  LOOP: { sizePrefix: true, addressPrefix: true, operands: ['J'] },
  LOOPE: { sizePrefix: true, addressPrefix: true, operands: ['J'] },
  LOOPNE: { sizePrefix: true, addressPrefix: true, operands: ['J'] },
  JRCXZ: { byAddressSize: { 16: 'jcxz', 32: 'jecxz' }, sizePrefix: true, operands: ['J'] },
  ...Object.fromEntries(['A0', 'A1', 'A2', 'A3'].map((opcode) => [`MOV ${opcode}`, { addressPrefix: true }])),
  LEA: { noSegment: true },
  LAR: { operands: ['Gv', 'Ev'], memory: 16 },
  LSL: { operands: ['Gv', 'Ev'], memory: 16 },
  PCMPESTRI: { byOperandSize: { 64: 'pcmpestri64' } },
  PCMPESTRM: { byOperandSize: { 64: 'pcmpestrm64' } },
  SYSEXIT: { byOperandSize: { 64: 'sysexitq' } },
  SYSRET: { byOperandSize: { 64: 'sysretq' } },
  BOUND: { memory: { 16: 32, 32: 64 } },
  LES: FAR,
  LDS: FAR,
  LSS: FAR,
  LFS: FAR,
  LGS: FAR,
  ...Object.fromEntries(CACHE_HINTS.map((name) => [name, CACHE_LINE])),
  ...Object.fromEntries(['MOV 8C /r', 'SLDT', 'STR', 'SMSW'].map((name) => [name, { memory: 16 }])),
  LGDT: DESCRIPTOR_TABLE,
  LIDT: DESCRIPTOR_TABLE,
  SGDT: DESCRIPTOR_TABLE,
  SIDT: DESCRIPTOR_TABLE,
  FLDENV: X87_ENVIRONMENT,
  FNSTENV: X87_ENVIRONMENT,
  FNSAVE: X87_STATE,
  FRSTOR: X87_STATE,
  ...Object.fromEntries(['FLD DB /5', 'FSTP DB /7', 'FBLD', 'FBSTP'].map((name) => [name, TEN_BYTES])),
};

export function textRule(e: Encoding): TextRule {
  return RULES[`${e.definition.name} ${e.row.split('|')[0].trim()}`] ?? RULES[e.definition.name] ?? NO_RULE;
}
