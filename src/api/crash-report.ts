/** What is shown when a guest is beyond help: registers and the code around the instruction pointer. */
import type { GuestMemory } from '../devices/contract.ts';
import { disassemble } from '../isa/x86/disassemble.ts';
import type { RegisterView } from './guest-view.ts';
import { codeSize, readCode } from './guest-view.ts';

const LONGEST_INSTRUCTION = 15;
const INSTRUCTIONS_BEFORE = 6;
/** Bytes before the instruction pointer that are looked at. */
const WINDOW_BEFORE = 128;
const INSTRUCTIONS_AFTER = 3;

const GENERAL = [
  ['RAX', 'RBX', 'RCX', 'RDX'],
  ['RSI', 'RDI', 'RBP', 'RSP'],
  ['R8', 'R9', 'R10', 'R11'],
  ['R12', 'R13', 'R14', 'R15'],
] as const;
const SEGMENTS = ['CS', 'SS', 'DS', 'ES', 'FS', 'GS', 'TR', 'LDTR'] as const;
const CONTROL = ['CR0', 'CR2', 'CR3', 'CR4', 'IA32_EFER'] as const;

const hex = (value: bigint, digits: number): string => BigInt.asUintN(64, value).toString(16).padStart(digits, '0');

/** The registers, a few a line, by their manual names; numbers are hexadecimal. */
export function registerDump(cpu: RegisterView): string {
  const named = (name: string): string => `${name}=${hex(cpu.register(name), 16)}`;
  const segment = (name: string): string =>
    `${name.padEnd(4)} ${hex(cpu.register(`${name}.selector`), 4)} base=${hex(cpu.register(`${name}.base`), 16)}` +
    ` limit=${hex(cpu.register(`${name}.limit`), 8)} access=${hex(cpu.register(`${name}.access`), 5)}`;
  const table = (name: string): string =>
    `${name} base=${hex(cpu.register(`${name}.base`), 16)} limit=${hex(cpu.register(`${name}.limit`), 4)}`;
  return [
    ...GENERAL.map((names) => names.map((name) => named(name).padStart(20)).join(' ')),
    ` ${named('RIP')}  RFLAGS=${hex(cpu.register('RFLAGS'), 8)} CPL=${cpu.register('CPL')} ${codeSize(cpu)}-bit`,
    ...SEGMENTS.map(segment),
    ...['GDTR', 'IDTR'].map(table),
    CONTROL.map((name) => `${name}=${hex(cpu.register(name), 8)}`).join(' '),
  ].join('\n');
}

interface Line {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** Decodes `bytes`, which begin at `address`, until they or `most` instructions are used up. */
function sweep(bytes: Uint8Array, mode: 16 | 32 | 64, address: bigint, most: number): Line[] {
  const lines: Line[] = [];
  for (let at = 0; at < bytes.length && lines.length < most; ) {
    const here = BigInt.asUintN(64, address + BigInt(at));
    const { text, length } = disassemble(bytes.subarray(at), mode, here);
    lines.push({ address: here, bytes: bytes.subarray(at, at + length), text });
    at += length;
  }
  return lines;
}

/**
 * The instructions that end right before `rip`. x86 code cannot be read backwards, but decoding from any start soon falls
 * into step with the real instructions: of those that could come before another, the one that most starts lead to is likeliest.
 */
function linesBefore(cpu: RegisterView, memory: GuestMemory, rip: bigint): Line[] {
  const window = Math.min(Number(rip), WINDOW_BEFORE);
  const start = rip - BigInt(window);
  const bytes = readCode(cpu, memory, start, window);
  if (bytes.length < window) return [];
  const lines = Array.from(
    { length: window },
    (_, at) => sweep(bytes.subarray(at), codeSize(cpu), start + BigInt(at), 1)[0]!,
  );
  const starts = new Array<number>(window + 1).fill(1);
  const likeliest = new Array<number | undefined>(window + 1);
  for (const [at, line] of lines.entries()) {
    const next = at + line.bytes.length;
    const rival = likeliest[next];
    if (isUnlikely(line)) continue;
    if (rival === undefined || starts[at]! > starts[rival]!) likeliest[next] = at;
    starts[next]! += starts[at]!;
  }
  const found: Line[] = [];
  for (let at = likeliest[window]; at !== undefined && found.length < INSTRUCTIONS_BEFORE; at = likeliest[at])
    found.unshift(lines[at]!);
  return found;
}

/** What is hardly code: no instruction, or one that begins with a zero, as padding and data do. */
const isUnlikely = (line: Line): boolean => line.text.startsWith('(bad)') || line.bytes[0] === 0;

const hexBytes = (bytes: Uint8Array): string => Array.from(bytes, (byte) => hex(BigInt(byte), 2)).join(' ');

/** One line of disassembly: address, bytes, text. */
export function formatInstruction(address: bigint, bytes: Uint8Array, text: string): string {
  return `${hex(address, 8)}  ${hexBytes(bytes).padEnd(24)} ${text}`;
}

/** The instructions before and at the instruction pointer, which an arrow marks. */
export function codeDump(cpu: RegisterView, memory: GuestMemory): string {
  const rip = cpu.register('RIP');
  const code = readCode(cpu, memory, rip, (1 + INSTRUCTIONS_AFTER) * LONGEST_INSTRUCTION);
  if (code.length === 0) return `no memory is mapped at the instruction pointer`;
  const show = (line: Line): string => formatInstruction(line.address, line.bytes, line.text);
  const [current, ...after] = sweep(code, codeSize(cpu), rip, 1 + INSTRUCTIONS_AFTER).map(show);
  const before = linesBefore(cpu, memory, rip).map(show);
  return [...before.map((line) => `   ${line}`), `=> ${current}`, ...after.map((line) => `   ${line}`)].join('\n');
}
