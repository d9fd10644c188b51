/**
 * iced-x86 as the oracle of lengths and text, set to decode as this processor should: Intel's decisions where vendors differ, and no
 * extension beyond the level that CPUID announces.
 */
import {
  Code,
  CodeExt,
  CpuidFeature,
  Decoder,
  DecoderOptions,
  Formatter,
  FormatterSyntax,
  Instruction,
  MemorySizeOptions,
} from 'iced-x86';
import type { CodeSize } from '../../src/isa/x86/prefixes.ts';
import { STRING_LENGTH } from './byte-strings.ts';

/** What there is: x86-64-v2, and the extensions that Linux wants. */
const FEATURES: ReadonlySet<string> = new Set([
  'INTEL8086', 'INTEL186', 'INTEL286', 'INTEL386', 'INTEL486', 'X64', 'FPU', 'FPU287', 'FPU387', 'CPUID', 'MSR', 'TSC', 'CX8', 'CMOV', 'MMX',
  'FXSR', 'SSE', 'SSE2', 'SSE3', 'SSSE3', 'SSE4_1', 'SSE4_2', 'POPCNT', 'CMPXCHG16B', 'SEP', 'SYSCALL', 'CLFSH', 'MULTIBYTENOP', 'PAUSE',
  'PREFETCHW', 'PREFETCHWT1', 'RDTSCP', 'RDPMC', 'RDRAND', 'RDSEED', 'FSGSBASE', 'INVPCID', 'SMAP', 'XSAVE', 'CET_IBT',
]); // biome-ignore format: a list

/** Without the extension these prefixes of other instructions are ignored, as on processors that lack it. */
const OPTIONS = DecoderOptions.NoWbnoinvd | DecoderOptions.NoMPFX_0FBC | DecoderOptions.NoMPFX_0FBD;

export interface Oracle {
  readonly length: number;
  readonly text: string;
  /** Iced's name of the encoding. */
  readonly code: string;
}

const names = new Map<Code, string>(
  Object.entries(Code).flatMap(([name, code]) => (typeof code === 'number' ? [[code, name] as const] : [])),
);
const support = new Map<Code, boolean>();

/** Every feature that the encoding needs is there. */
function isSupported(instruction: Instruction): boolean {
  const { code } = instruction;
  let known = support.get(code);
  if (known === undefined) {
    const features = Array.from(instruction.cpuidFeatures() as ArrayLike<number>, (feature) => CpuidFeature[feature]);
    known = features.every((feature) => FEATURES.has(feature));
    support.set(code, known);
  }
  return known;
}

/** Texts that are derived from the manual's operands alone: sizes always there, no invented mnemonics for immediates. */
function makeFormatter(): Formatter {
  const formatter = new Formatter(FormatterSyntax.Intel);
  formatter.memorySizeOptions = MemorySizeOptions.Always;
  formatter.usePseudoOps = false;
  return formatter;
}
const formatter = makeFormatter();
const instruction = new Instruction();

/** Decodes the strings of `buffer`, `STRING_LENGTH` bytes each; undefined where no instruction of ours is there. */
export function* oracle(buffer: Uint8Array, mode: CodeSize, address: bigint): Generator<Oracle | undefined> {
  const decoder = new Decoder(mode, buffer, OPTIONS);
  const plain = new Decoder(mode, buffer, OPTIONS | DecoderOptions.ForceReservedNop);
  for (let at = 0; at < buffer.length; at += STRING_LENGTH)
    yield decodeAt(decoder, at, address) ?? decodeNop(plain, at, address);
  decoder.free();
  plain.free();
}

function decodeAt(decoder: Decoder, at: number, address: bigint): Oracle | undefined {
  decoder.position = at;
  decoder.ip = address;
  decoder.decodeOut(instruction);
  if (instruction.code === Code.INVALID || !isSupported(instruction)) return undefined;
  return { length: instruction.length, text: formatter.format(instruction), code: names.get(instruction.code)! };
}

/** Hints of extensions in the space of reserved NOPs (0F 18–1F) are NOPs without the extension. */
function decodeNop(decoder: Decoder, at: number, address: bigint): Oracle | undefined {
  const found = decodeAt(decoder, at, address);
  return found?.code.startsWith('Reservednop') ? found : undefined;
}

/** Names of all encodings that the oracle can give for this processor. */
export function oracleCodes(): readonly string[] {
  const codes: string[] = [];
  for (const [code, name] of names) {
    if (!CodeExt.opCode(code).isInstruction) continue;
    instruction.code = code;
    if (isSupported(instruction)) codes.push(name);
  }
  return codes;
}
