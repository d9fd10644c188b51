/** `trapeze disasm`: machine code as text. */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { formatInstruction } from '../api/crash-report.ts';
import { fileProblem } from '../host/node/file-problem.ts';
import { UserError } from '../host/node/index.ts';
import { printBody, printProcedure } from '../isa/ir/printer.ts';
import { walk } from '../isa/ir/statements.ts';
import type { Procedure } from '../isa/ir/types.ts';
import { bodyOf } from '../isa/x86/body.ts';
import { decode } from '../isa/x86/decoder.ts';
import { disassemble } from '../isa/x86/disassemble.ts';

export interface DisasmFlags {
  readonly mode: string;
  readonly address: string;
  /** Below each instruction what it means, as IR, and the procedures that it calls. */
  readonly ir?: boolean;
}

const LONGEST_INSTRUCTION = 15;
/** Characters collected before they are written. */
const BATCH = 65_536;

/** Prints one line an instruction. */
export function disasm(words: readonly string[], flags: DisasmFlags): void {
  const mode = parseMode(flags.mode);
  const base = parseAddress(flags.address);
  const bytes = input(words);
  let lines = '';
  for (let at = 0; at < bytes.length; ) {
    const address = BigInt.asUintN(mode, base + BigInt(at));
    const { text, length } = disassemble(bytes.subarray(at, at + LONGEST_INSTRUCTION), mode, address);
    lines += `${formatInstruction(address, bytes.subarray(at, at + length), text)}\n`;
    if (flags.ir) lines += meaning(bytes.subarray(at, at + LONGEST_INSTRUCTION), mode);
    at += length;
    if (lines.length > BATCH) {
      process.stdout.write(lines);
      lines = '';
    }
  }
  process.stdout.write(lines);
}

/** The IR of the instruction at the start of `bytes`, indented. */
function meaning(bytes: Uint8Array, mode: 16 | 32 | 64): string {
  const decoded = decode(bytes, mode);
  if (typeof decoded === 'string') return '';
  const body = bodyOf(decoded.encoding, decoded.parameters);
  const called = new Set<Procedure>();
  for (const s of walk(body)) if (s.kind === 'call' && s.target.kind === 'procedure') called.add(s.target);
  const parts = [printBody(body), ...[...called].map(printProcedure)];
  return `${parts.join('\n').replace(/^/gm, '    ')}\n\n`;
}

function parseMode(text: string): 16 | 32 | 64 {
  if (text !== '16' && text !== '32' && text !== '64')
    throw new UserError(`--mode: '${text}' is not a code size: choose 16, 32 or 64`);
  return Number(text) as 16 | 32 | 64;
}

function parseAddress(text: string): bigint {
  if (!/^(0x[0-9a-f]{1,16}|\d{1,19})$/i.test(text))
    throw new UserError(`--address: '${text}' is not an address: write a number such as 0x7c00`);
  return BigInt(text);
}

/** A file's bytes, or bytes written in hexadecimal. */
function input(words: readonly string[]): Uint8Array {
  const hex = words.join(' ').replaceAll(/\\x|0x|[\s,]/gi, '');
  const [first] = words;
  try {
    if (words.length === 1) return readFileSync(first === '-' ? 0 : first!);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fileProblem(first!, error);
  }
  if (hex.length > 0 && hex.length % 2 === 0 && /^[0-9a-f]+$/i.test(hex)) return Buffer.from(hex, 'hex');
  throw new UserError(`'${words.join(' ')}' is neither a file nor whole bytes in hexadecimal, such as '48 89 c3'`);
}
