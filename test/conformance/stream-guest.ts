/** A small guest in any mode, whose code, descriptors' handlers and registers are random: for streams of random bytes. */
import type { GuestMemory } from '../../src/devices/contract.ts';
import type { Vcpu } from '../../src/engine/engine.ts';
import { interestingValue } from './instruction-generator.ts';
import type { Random } from './random.ts';

export const MODES = [
  'real',
  'virtual8086',
  'protected16',
  'protected32',
  'compatibility16',
  'compatibility32',
  'long',
] as const;
export type StreamMode = (typeof MODES)[number];

export const STREAM_RAM = 1 << 20;
/** What a stream starts with; beyond it memory is what streams before left. */
const PREPARED = 0x2_0000;

/** Physical and, where paging is on, linear addresses. */
const AT = {
  pml4: 0x1000,
  pdpt: 0x2000,
  directory: 0x3000,
  table: 0x4000,
  gdt: 0x5000,
  idt: 0x6000,
  tss: 0x7000,
  code: 0x8000,
  handlers: 0xa000,
  data: 0xc000,
  stack: 0x1_0000,
  supervisorStack: 0x1_8000,
} as const;
const CODE_BYTES = 0x400;

const CR0 = { PE: 1n, MP: 2n, ET: 0x10n, NE: 0x20n, WP: 0x1_0000n, AM: 0x4_0000n, PG: 0x8000_0000n } as const;
const CR4_PAE = 0x20n;
const CR4_FEATURES = 0x5_0600n;
const EFER_LONG = 0xd01n;

interface Segment {
  readonly selector: number;
  readonly base: bigint;
  readonly limit: bigint;
  readonly access: bigint;
}

/** GDT: 1 unused, then code and data of both levels in 16, 32 and 64 bits; the TSS. */
const DESCRIPTORS: readonly bigint[] = [
  0n,
  0n,
  0x00af_9b00_0000_ffffn,
  0x00cf_9300_0000_ffffn,
  0x00cf_fb00_0000_ffffn,
  0x00cf_f300_0000_ffffn,
  0x00af_fb00_0000_ffffn,
  0x00cf_9b00_0000_ffffn,
  0x0000_8b00_7000_0067n,
  0n,
  0x000f_9b00_0000_ffffn,
  0x000f_fb00_0000_ffffn,
];
const SELECTOR = {
  kernel64: 0x10,
  kernelData: 0x18,
  user32: 0x23,
  userData: 0x2b,
  user64: 0x33,
  kernel32: 0x38,
  tss: 0x40,
  kernel16: 0x50,
  user16: 0x5b,
} as const;

const isLong = (mode: StreamMode): boolean => mode === 'long' || mode.startsWith('compatibility');

function writeTables(random: Random, view: DataView, mode: StreamMode): void {
  const put = (at: number, value: bigint): void => view.setBigUint64(at, value, true);
  const TABLE = 7n;
  put(AT.pml4, BigInt(AT.pdpt) | TABLE);
  // The entries of PAE paging have no rights.
  put(AT.pdpt, BigInt(AT.directory) | (isLong(mode) ? TABLE : 1n));
  put(AT.directory, BigInt(AT.table) | TABLE);
  for (let page = 0; page < 256; page++) {
    const isBare = page >= 32 && random.chance(0.3);
    const rights = isBare ? BigInt(random.below(8)) : TABLE;
    put(AT.table + page * 8, BigInt(page * 0x1000) | rights);
  }
  for (const [i, descriptor] of DESCRIPTORS.entries()) put(AT.gdt + i * 8, descriptor);
}

/** Handlers of random bytes, some of which return at once. */
function writeHandlers(random: Random, view: DataView, mode: StreamMode): void {
  for (let vector = 0; vector < 256; vector++) {
    const target = AT.handlers + vector * 16;
    if (random.chance(0.5)) view.setUint16(target, 0xcf48, true);
    if (mode === 'real' || mode === 'virtual8086') view.setUint32(vector * 4, target, true);
    const code = isLong(mode) ? SELECTOR.kernel64 : mode === 'protected16' ? SELECTOR.kernel16 : SELECTOR.kernel32;
    const at = AT.idt + vector * (isLong(mode) ? 16 : 8);
    if (at + 16 > AT.tss) return;
    view.setUint32(at, (code << 16) | target, true);
    view.setUint32(at + 4, random.chance(0.9) ? 0xee00 : random.u32(), true);
    if (isLong(mode)) view.setBigUint64(at + 8, 0n, true);
  }
}

function segments(mode: StreamMode, user: boolean): { code: Segment; data: Segment; stack: Segment } {
  const flat = 0xffff_ffffn;
  if (mode === 'real' || mode === 'virtual8086') {
    const access = mode === 'real' ? 0x93n : 0xf3n;
    const real: Segment = { selector: 0, base: 0n, limit: 0xffffn, access };
    return { code: real, data: real, stack: real };
  }
  const is16 = mode.endsWith('16');
  const dpl = user ? 0x60n : 0n;
  const big = is16 ? 0n : 0x4000n;
  const limit = is16 && !isLong(mode) ? 0xf_ffffn : flat;
  const granular = limit === flat ? 0x8000n : 0n;
  const long = mode === 'long';
  const selector = long
    ? user
      ? SELECTOR.user64
      : SELECTOR.kernel64
    : is16
      ? user
        ? SELECTOR.user16
        : SELECTOR.kernel16
      : user
        ? SELECTOR.user32
        : SELECTOR.kernel32;
  const code: Segment = { selector, base: 0n, limit, access: 0x9bn | dpl | granular | (long ? 0x2000n : big) };
  const data: Segment = {
    selector: user ? SELECTOR.userData : SELECTOR.kernelData,
    base: 0n,
    limit: flat,
    access: 0xc093n | dpl,
  };
  return { code, data, stack: data };
}

function controls(random: Random, mode: StreamMode): readonly (readonly [string, bigint])[] {
  const base = CR0.MP | CR0.ET | CR0.NE | CR0.WP | CR0.AM;
  if (mode === 'real')
    return [
      ['CR0', base],
      ['CR4', 0x600n],
    ];
  if (isLong(mode)) {
    return [
      ['CR4', CR4_FEATURES | CR4_PAE],
      ['CR3', BigInt(AT.pml4)],
      ['IA32_EFER', EFER_LONG],
      ['CR0', base | CR0.PE | CR0.PG],
    ];
  }
  const pae = random.chance(0.5);
  if (!pae)
    return [
      ['CR4', 0x600n],
      ['CR0', base | CR0.PE],
    ];
  return [
    ['CR4', 0x600n | CR4_PAE],
    ['CR3', BigInt(AT.pdpt)],
    ['CR0', base | CR0.PE | CR0.PG],
  ];
}

function setSegment(vcpu: Vcpu, name: string, s: Segment): void {
  vcpu.setRegister(`${name}.selector`, BigInt(s.selector));
  vcpu.setRegister(`${name}.base`, s.base);
  vcpu.setRegister(`${name}.limit`, s.limit);
  vcpu.setRegister(`${name}.access`, s.access);
}

function setRegisters(random: Random, vcpu: Vcpu, mode: StreamMode): void {
  for (const name of [
    'RAX',
    'RCX',
    'RDX',
    'RBX',
    'RBP',
    'RSI',
    'RDI',
    'R8',
    'R9',
    'R10',
    'R11',
    'R12',
    'R13',
    'R14',
    'R15',
  ]) {
    const pointer = BigInt(AT.data + random.below(0x4000));
    const value = random.chance(0.5) ? pointer : interestingValue(random);
    vcpu.setRegister(name, mode === 'long' ? BigInt.asUintN(64, value) : BigInt.asUintN(32, value));
  }
  vcpu.setRegister('RSP', BigInt(AT.stack + 0x4000));
  vcpu.setRegister('RIP', BigInt(AT.code));
  const flags = (random.u32() & 0xcd5) | (random.chance(0.05) ? random.u32() & 0x7_7fd5 : 0) | 2;
  vcpu.setRegister('RFLAGS', BigInt(mode === 'virtual8086' ? (flags & ~0x2_0000) | 0x2_3000 : flags & ~0x2_0000));
  for (let i = 0; i < 8; i++) {
    vcpu.setRegister(`R${i}.significand`, random.u64());
    vcpu.setRegister(`R${i}.exponent`, BigInt(random.below(0x1_0000)));
    vcpu.setRegister(`XMM${i}`, (random.u64() << 64n) | random.u64());
  }
  vcpu.setRegister('FTW', BigInt(random.below(256)));
}

/** Prepares memory and processor; `code`: what is at the start of the stream. */
export function prepareStream(
  random: Random,
  memory: GuestMemory,
  vcpu: Vcpu,
  mode: StreamMode,
  user: boolean,
): Uint8Array {
  const bytes = memory.writable(0, PREPARED)!;
  bytes.fill(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, PREPARED);
  writeTables(random, view, mode);
  random.fill(bytes.subarray(AT.handlers, AT.handlers + 0x1000));
  writeHandlers(random, view, mode);
  random.fill(bytes.subarray(AT.code, AT.code + CODE_BYTES));
  view.setBigUint64(
    AT.tss + 4,
    BigInt(AT.supervisorStack + 0x4000) | (isLong(mode) ? 0n : BigInt(SELECTOR.kernelData) << 32n),
    true,
  );
  vcpu.reset();
  for (const [name, value] of controls(random, mode)) vcpu.setRegister(name, value);
  setRegisters(random, vcpu, mode);
  const { code, data, stack } = segments(mode, user);
  setSegment(vcpu, 'CS', code);
  for (const name of ['DS', 'ES', 'FS', 'GS']) setSegment(vcpu, name, data);
  setSegment(vcpu, 'SS', stack);
  setSegment(vcpu, 'TR', { selector: SELECTOR.tss, base: BigInt(AT.tss), limit: 0x67n, access: 0x8bn });
  vcpu.setRegister('GDTR.base', BigInt(AT.gdt));
  vcpu.setRegister('GDTR.limit', BigInt(DESCRIPTORS.length * 8 - 1));
  vcpu.setRegister('IDTR.base', mode === 'real' ? 0n : BigInt(AT.idt));
  vcpu.setRegister('IDTR.limit', mode === 'real' ? 0x3ffn : 0xfffn);
  return bytes.slice(AT.code, AT.code + 64);
}
