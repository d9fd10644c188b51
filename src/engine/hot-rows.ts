/**
 * Which rows an interpreter's main loop holds itself, and under which parameters. V8 optimizes the loop as one function, and takes some
 * 200 bytes of memory for each byte of it while it does: what hardly any guest executes is better a function of its own.
 */
import type { Encoding, Parameters } from '../isa/x86/definition.ts';

/**
 * Opcodes as in the SDM, and operand sizes: `m` where the operand is in memory, `s` where that is addressed through FS or GS in 64-bit code, `r`
 * with F3 as a repeat prefix. What was interpreted a hundred times or more in boots of Debian's kernels and of the embedded guest, and in the
 * benchmark's workloads; besides, the ways to write moves and arithmetic between registers that other compilers choose.
 */
const HOT: Readonly<Record<string, string>> = {
  ADD: '00 /r: 32, 01 /r: 16m 32 32m 64 64m 64ms, 02 /r: 32m, 03 /r: 16m 32 32m 64 64m 64ms, 05: 16 32 64, 80 /0: 32m, 81 /0: 16 32 32m 32ms 64 64m, 83 /0: 16m 32 32m 64 64m',
  OR: '08 /r: 32 32m, 09 /r: 32 32m 64 64m, 0A /r: 32m, 0B /r: 32 32m 64 64m, 0C: 32, 0D: 32, 80 /1: 32 32m, 81 /1: 32 32m 64 64m, 83 /1: 32 32m 64 64m',
  ADC: '11 /r: 32 32m 64, 13 /r: 32m, 80 /2: 32, 83 /2: 32 32m 64',
  SBB: '19 /r: 32 32m 64, 1B /r: 32m, 80 /3: 32, 83 /3: 32 32m 64',
  AND: '20 /r: 32 32m, 21 /r: 32 32m 64 64m, 22 /r: 32m, 23 /r: 32 32m 64 64m, 24: 32, 25: 32 64, 80 /4: 32 32m, 81 /4: 32 32m 64 64m, 83 /4: 32 32m 64 64m',
  SUB: '29 /r: 32 32m 64 64m, 2A /r: 32m, 2B /r: 16m 32 32m 64 64m 64ms, 2C: 32, 2D: 16 32 64, 80 /5: 32 32m, 81 /5: 32 32m 64 64m, 83 /5: 16m 32 32m 64 64m',
  XOR: '30 /r: 32 32m, 31 /r: 32 64 64m, 32 /r: 32m, 33 /r: 32 32m 64 64m, 34: 32, 35: 32, 80 /6: 32 32m, 81 /6: 32, 83 /6: 32 32m 64',
  CMP: '38 /r: 32 32m, 39 /r: 16 16m 32 32m 64 64m, 3A /r: 32m, 3B /r: 16m 32 32m 64 64m 64ms, 3C: 32, 3D: 16 32 64, 80 /7: 32 32m, 81 /7: 16 16m 32 32m 64 64m, 83 /7: 16 16m 32 32m 64 64m 64ms',
  TEST: '84 /r: 32 32m, 85 /r: 32 32m 64 64m, A8: 32, A9: 32 64, F6 /0: 32 32m, F7 /0: 32 32m 64 64m',
  INC: 'FF /0: 16m 32 32m 32ms 64 64m 64ms, 40+r: 32',
  DEC: 'FF /1: 32 32m 32ms 64 64m, 48+r: 32',
  NOT: 'F7 /2: 32 64',
  NEG: 'F7 /3: 32 64',
  MUL: 'F7 /4: 32 32m 64',
  IMUL: '0F AF /r: 32 32m 64 64m, 69 /r: 32 32m 64 64m, 6B /r: 32 32m 64',
  BT: '0F A3 /r: 32 32m 64 64m, 0F BA /4: 32 32m 64',
  BTS: '0F AB /r: 32m 64 64m, 0F BA /5: 32m 64 64m',
  BTR: '0F B3 /r: 32 32m 64m, 0F BA /6: 32m 64 64m',
  BTC: '0F BB /r: 32',
  BSF: '0F BC /r: 32 64',
  BSR: '0F BD /r: 32 32m 64 64m',
  POPCNT: 'F3 0F B8 /r: 32 64',
  JB: '72: 32 64, 0F 82: 32 64',
  JAE: '73: 32 64, 0F 83: 32 64',
  JE: '74: 32 64, 0F 84: 32 64',
  JNE: '75: 32 64, 0F 85: 32 64',
  JBE: '76: 32 64, 0F 86: 32 64',
  JA: '77: 32 64, 0F 87: 32 64',
  JS: '78: 32 64, 0F 88: 32 64',
  JNS: '79: 32 64, 0F 89: 32 64',
  JL: '7C: 32 64, 0F 8C: 32 64',
  JGE: '7D: 32 64, 0F 8D: 32 64',
  JLE: '7E: 32 64, 0F 8E: 32 64',
  JG: '7F: 32 64, 0F 8F: 32 64',
  JMP: 'EB: 32 64, E9: 32 64, FF /4: 32 32m 64 64m',
  CALL: 'E8: 32 64, FF /2: 32 32m 64 64m',
  RET: 'C3: 32 64',
  MOV: '88 /r: 32 32m 32ms, 89 /r: 16 16m 32 32m 64 64m 64ms, 8A /r: 32m 32ms, 8B /r: 16m 32 32m 32ms 64 64m 64ms, A0: 32, A1: 16 32, A3: 16 32, B0+r: 32, B8+r: 32 64, C6 /0: 32m 32ms, C7 /0: 16m 32 32m 32ms 64 64m 64ms',
  MOVZX: '0F B6 /r: 32 32m 64 64m, 0F B7 /r: 32 32m',
  MOVSX: '0F BE /r: 32 32m 64 64m, 0F BF /r: 32 32m 64 64m',
  MOVSXD: '63 /r: 64 64m',
  LEA: '8D /r: 32m 64m',
  CMOVB: '0F 42 /r: 32 32m 64',
  CMOVAE: '0F 43 /r: 32 32m 64 64m',
  CMOVE: '0F 44 /r: 32 32m 64 64m',
  CMOVNE: '0F 45 /r: 32 32m 64',
  CMOVBE: '0F 46 /r: 32 64',
  CMOVA: '0F 47 /r: 32 32m 64',
  CMOVS: '0F 48 /r: 32 32m 64',
  CMOVNS: '0F 49 /r: 32 64',
  CMOVL: '0F 4C /r: 32 32m 64',
  CMOVGE: '0F 4D /r: 32 32m 64',
  CMOVLE: '0F 4E /r: 32 32m 64',
  CMOVG: '0F 4F /r: 32 64',
  SETB: '0F 92 /r: 32 32m',
  SETAE: '0F 93 /r: 32 32m',
  SETE: '0F 94 /r: 32 32m',
  SETNE: '0F 95 /r: 32 32m',
  SETBE: '0F 96 /r: 32',
  SETA: '0F 97 /r: 32',
  SETL: '0F 9C /r: 32',
  SETLE: '0F 9E /r: 32',
  SETG: '0F 9F /r: 32',
  XCHG: '87 /r: 32 32m 64m, 90+r: 32',
  NOP: '90: 16 32, 0F 1F /r: 16m 32m',
  BSWAP: '0F C8+r: 32 64',
  PUSH: '50+r: 32 64, FF /6: 32m 64m, 68: 32 64, 6A: 32 64',
  POP: '58+r: 32 64',
  LEAVE: 'C9: 32 64',
  CBW: '98: 64',
  CWD: '99: 32',
  CLD: 'FC: 32',
  CLI: 'FA: 32',
  STI: 'FB: 32',
  ROL: 'C1 /0: 32 64 64m, D1 /0: 32, D3 /0: 64',
  ROR: 'C1 /1: 32 64',
  SHL: 'C1 /4: 32 64, D0 /4: 32m, D3 /4: 32 64',
  SHR: 'C0 /5: 32, C1 /5: 16 32 32m 64, D0 /5: 32 32m, D1 /5: 16 32 64, D3 /5: 32 64',
  SAR: 'C1 /7: 32 64, D1 /7: 32 64, D3 /7: 32 64',
  SHLD: '0F A4 /r: 32, 0F A5 /r: 32',
  SHRD: '0F AC /r: 32 64, 0F AD /r: 32 64',
  MOVS: 'A4: 32 32r, A5: 32r 64r',
  CMPS: 'A6: 32r',
  STOS: 'AA: 32 32r, AB: 32r 64r',
  LODS: 'AC: 32',
  SCAS: 'AE: 32',
  PADDW: '66 0F FD /r: 32',
  PADDD: '66 0F FE /r: 32',
  PADDQ: '66 0F D4 /r: 32',
  PSUBB: '66 0F F8 /r: 32',
  PSUBW: '66 0F F9 /r: 32',
  PSUBD: '66 0F FA /r: 32',
  PMINUB: '66 0F DA /r: 32m',
  PCMPEQB: '66 0F 74 /r: 32 32m',
  PCMPEQD: '66 0F 76 /r: 32',
  PREFETCHT0: '0F 18 /1: 32m',
  ADDPS: 'NP 0F 58 /r: 32 32m',
  ADDPD: '66 0F 58 /r: 32',
  ADDSS: 'F3 0F 58 /r: 32',
  ADDSD: 'F2 0F 58 /r: 32 32m',
  MULPS: 'NP 0F 59 /r: 32',
  MULPD: '66 0F 59 /r: 32',
  MULSS: 'F3 0F 59 /r: 32',
  MULSD: 'F2 0F 59 /r: 32',
  SUBSS: 'F3 0F 5C /r: 32',
  SUBSD: 'F2 0F 5C /r: 32 32m',
  DIVSD: 'F2 0F 5E /r: 32',
  SQRTPS: 'NP 0F 51 /r: 32',
  SQRTSD: 'F2 0F 51 /r: 32',
  COMISD: '66 0F 2F /r: 32',
  CVTSI2SS: 'F3 0F 2A /r: 32',
  CVTSI2SD: 'F2 0F 2A /r: 32',
  CVTSS2SD: 'F3 0F 5A /r: 32',
  PMOVMSKB: '66 0F D7 /r: 32',
  PAND: '66 0F DB /r: 32',
  PANDN: '66 0F DF /r: 32',
  POR: '66 0F EB /r: 32',
  PXOR: '66 0F EF /r: 32 32m',
  MOVUPS: 'NP 0F 10 /r: 32m, NP 0F 11 /r: 32m',
  MOVAPS: 'NP 0F 28 /r: 32 32m, NP 0F 29 /r: 32m',
  MOVAPD: '66 0F 28 /r: 32',
  MOVDQA: '66 0F 6F /r: 32 32m',
  MOVDQU: 'F3 0F 6F /r: 32m, F3 0F 7F /r: 32m',
  MOVSS: 'F3 0F 11 /r: 32m',
  MOVSD: 'F2 0F 10 /r: 32m, F2 0F 11 /r: 32m',
  MOVD: '66 0F 6E /r: 32 32m, 66 0F 7E /r: 32',
  MOVQ: 'F3 0F 7E /r: 32m, 66 0F D6 /r: 32m',
  PSRLD: '66 0F 72 /2: 32',
  PSRLQ: '66 0F 73 /2: 32',
  PSRAW: '66 0F 71 /4: 32',
  PSLLW: '66 0F 71 /6: 32',
  PSLLD: '66 0F 72 /6: 32',
  PSLLQ: '66 0F 73 /6: 32',
  PUNPCKLBW: '66 0F 60 /r: 32',
  PUNPCKLWD: '66 0F 61 /r: 32',
  PUNPCKLDQ: '66 0F 62 /r: 32',
  PUNPCKLQDQ: '66 0F 6C /r: 32',
  PUNPCKHBW: '66 0F 68 /r: 32',
  PSHUFB: '66 0F 38 00 /r: 32',
  PSHUFD: '66 0F 70 /r: 32',
  SHUFPS: 'NP 0F C6 /r: 32',
};

/** Forms by mnemonic and opcode. */
const FORMS: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Object.entries(HOT).flatMap(([name, rows]) =>
    rows.split(', ').map((row) => {
      const [opcode, forms] = row.split(': ');
      return [`${name} ${opcode}`, new Set(forms.split(' '))] as const;
    }),
  ),
);
const NONE: ReadonlySet<string> = new Set();

/** The names by which the table knows rows. */
export const HOT_NAMES: readonly string[] = [...FORMS.keys()];
/** A row's name in the table. */
export const hotName = ({ definition, row }: Encoding): string => `${definition.name} ${row.split(' |', 1)[0]}`;

function isHot(forms: ReadonlySet<string>, { operandSize, long, memory, segmented, rep }: Parameters): boolean {
  const how = `${memory ? 'm' : ''}${long && segmented ? 's' : ''}${rep === 'none' ? '' : 'r'}`;
  // What is met with 64 bits is met with 32 where there are no more.
  return forms.has(`${operandSize}${how}`) || (!long && operandSize === 32 && forms.has(`64${how}`));
}

/** The parameters under which a row is part of the main loop of 64-bit code (`long`), or of other code. */
export function hotParameters(encoding: Encoding, long: boolean): readonly Parameters[] {
  const { attributes, operands, hasModrm, form } = encoding;
  const forms = FORMS.get(hotName(encoding)) ?? NONE;
  if (forms.size === 0 || attributes.has(long ? 'i64' : 'o64')) return [];
  const sized = operands.some((o) => /[vyz]$/.test(o)) || !hasModrm;
  const wide = attributes.has('d64') || attributes.has('f64') ? [64] : sized ? [32, 64] : [32];
  const operandSizes = [...(sized ? [16] : []), ...(long ? wide : [32])] as readonly (16 | 32 | 64)[];
  const memories = !hasModrm || form === 'reg' ? [false] : form === 'mem' ? [true] : [false, true];
  const reps: readonly Parameters['rep'][] = attributes.has('rep') ? ['none', 'F3'] : ['none'];
  const addressSize = long ? 64 : 32;
  const all = operandSizes.flatMap((operandSize) =>
    memories.flatMap((memory) =>
      (long && memory ? [false, true] : [!long]).flatMap((segmented) =>
        reps.map((rep) => ({ operandSize, addressSize, long, memory, segmented, rep }) satisfies Parameters),
      ),
    ),
  );
  return all.filter((parameters) => isHot(forms, parameters));
}
