/**
 * The state of an x86-64 processor: each register declared once, with its class and its place in the virtual CPU's memory block.
 */
import type { State, StateClass, StateFile, StateType } from '../ir/types.ts';
import { WIDTH } from '../ir/types.ts';

let next = 0;
const all: State[] = [];

function place(size: number, align: number): number {
  next = Math.ceil(next / align) * align;
  const offset = next;
  next += size;
  return offset;
}
function register(name: string, type: StateType, cls: StateClass): State {
  const size = WIDTH[type] / 8;
  const state: State = { name, type, class: cls, offset: place(size, size) };
  all.push(state);
  return state;
}
function file(name: string, cls: StateClass, size: number): StateFile {
  return { name, class: cls, offset: place(size, 16), size };
}
/** A register inside a file, for those that know its number. */
function within(f: StateFile, name: string, type: StateType, at: number): State {
  const state: State = { name, type, class: f.class, offset: f.offset + at };
  all.push(state);
  return state;
}

// --- general-purpose registers ----------------------------------------------------------------------------------------------------

export const GPR_NAMES = [
  'RAX', 'RCX', 'RDX', 'RBX', 'RSP', 'RBP', 'RSI', 'RDI', 'R8', 'R9', 'R10', 'R11', 'R12', 'R13', 'R14', 'R15',
] as const; // biome-ignore format: a table

/** RAX…R15 of 8 bytes, then a register that is always zero and the base of the current code page, for addressing. */
export const GPR = file('GPR', 'user', 18 * 8);
export const [RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI] = GPR_NAMES.map((name, i) => within(GPR, name, 'i64', i * 8));
for (let i = 8; i < 16; i++) within(GPR, GPR_NAMES[i], 'i64', i * 8);
/** Byte offset in `GPR` of the register that is always zero. */
export const ZERO_AT = 16 * 8;
/** Byte offset in `GPR` of `IP_BASE`. */
export const IP_BASE_AT = 17 * 8;
/** What an instruction's page offset is added to: the instruction pointer of the first byte of its code page. */
export const IP_BASE: State = { name: 'IP_BASE', type: 'i64', class: 'engine', offset: GPR.offset + IP_BASE_AT };
/** The instruction pointer between instructions; inside one, see `IP_BASE`. */
export const RIP = register('RIP', 'i64', 'user');

// --- flags ------------------------------------------------------------------------------------------------------------------------

/**
 * The arithmetic flags, deferred. FLAG_RESULT is a result sign-extended to 64 bits; FLAG_AUX has CF at bit 31, OF xor CF at bit 30, AF
 * at bit 3, a correction of SF at bit 7 and of the parity byte in bits 15:8. So any combination of flags can be represented.
 */
export const FLAG_RESULT = register('FLAG_RESULT', 'i64', 'user');
export const FLAG_AUX = register('FLAG_AUX', 'i32', 'user');
/** DF, ID, AC, NT, TF, RF and the reserved bit 1, at their places in RFLAGS. */
export const FLAGS_OTHER = register('FLAGS_OTHER', 'i32', 'user');
/** IF, IOPL, VM, VIF, VIP at their places in RFLAGS: what user mode cannot change. */
export const FLAGS_SYSTEM = register('FLAGS_SYSTEM', 'i32', 'control');

// --- segments ---------------------------------------------------------------------------------------------------------------------

export const SEGMENT_NAMES = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'] as const;
/** Bytes of one segment register in `SEGMENTS`. */
export const SEGMENT_STRIDE = 64;
/** Byte positions inside one segment register. */
export const SEGMENT = { base: 0, limit: 8, access: 12, selector: 16, readEnd: 24, writeEnd: 32 } as const;
/**
 * ES, CS, SS, DS, FS, GS, then TR and LDTR: base (8 bytes), limit in bytes (4), access rights in the format of a VMCS (4, SDM vol. 3
 * §25.4.1), selector (2), and the end of what may be read and written from offset 0 without a closer look (8 each; 0: nothing).
 */
export const SEGMENTS = file('SEGMENTS', 'control', 8 * SEGMENT_STRIDE);
/** Byte offsets in `SEGMENTS`. */
export const ES_AT = 0;
export const CS_AT = SEGMENT_STRIDE;
export const SS_AT = 2 * SEGMENT_STRIDE;
export const DS_AT = 3 * SEGMENT_STRIDE;
export const FS_AT = 4 * SEGMENT_STRIDE;
export const GS_AT = 5 * SEGMENT_STRIDE;
export const TR_AT = 6 * SEGMENT_STRIDE;
export const LDTR_AT = 7 * SEGMENT_STRIDE;
for (const [i, name] of [...SEGMENT_NAMES, 'TR', 'LDTR'].entries()) {
  within(SEGMENTS, `${name}.base`, 'i64', i * SEGMENT_STRIDE + SEGMENT.base);
  within(SEGMENTS, `${name}.limit`, 'i32', i * SEGMENT_STRIDE + SEGMENT.limit);
  within(SEGMENTS, `${name}.access`, 'i32', i * SEGMENT_STRIDE + SEGMENT.access);
  within(SEGMENTS, `${name}.selector`, 'i16', i * SEGMENT_STRIDE + SEGMENT.selector);
}

// --- system registers -------------------------------------------------------------------------------------------------------------

export const GDTR_BASE = register('GDTR.base', 'i64', 'control');
export const GDTR_LIMIT = register('GDTR.limit', 'i32', 'control');
export const IDTR_BASE = register('IDTR.base', 'i64', 'control');
export const IDTR_LIMIT = register('IDTR.limit', 'i32', 'control');
export const CR0 = register('CR0', 'i64', 'control');
export const CR2 = register('CR2', 'i64', 'control');
export const CR3 = register('CR3', 'i64', 'control');
export const CR4 = register('CR4', 'i64', 'control');
/** The page-directory-pointer-table entries of PAE paging, as the last load of CR3 found them (SDM vol. 3 §4.4.1). */
export const PDPTE = file('PDPTE', 'control', 4 * 8);
for (let i = 0; i < 4; i++) within(PDPTE, `PDPTE${i}`, 'i64', i * 8);
export const XCR0 = register('XCR0', 'i64', 'control');
/** Follows CR0 and CR4: which of the instruction groups `FPU_GROUP` raise #NM or #UD now. */
export const FPU_BLOCKED = register('FPU_BLOCKED', 'i32', 'control');
export const FPU_GROUP = { x87: 1, sse: 2, mmx: 4 } as const;
/** The current privilege level, 0–3 (3 in virtual-8086 mode). */
export const CPL = register('CPL', 'i32', 'mode');
/** 16, 32 or 64: the default size of the code segment. */
export const CODE_SIZE = register('CODE_SIZE', 'i32', 'mode');
/** The limit of CS when that was last looked at. */
export const CODE_LIMIT = register('CODE_LIMIT', 'i32', 'engine');
/** 16 or 32 bits of stack pointer outside 64-bit mode, as a mask; all ones in 64-bit mode. */
export const STACK_MASK = register('STACK_MASK', 'i64', 'mode');
export const DEBUG = file('DEBUG', 'control', 8 * 8);
export const [DR0, DR1, DR2, DR3, , , DR6, DR7] = [0, 1, 2, 3, 4, 5, 6, 7].map((i) =>
  within(DEBUG, `DR${i}`, 'i64', i * 8),
);
/** Bits of DR6 that the next debug exception reports: traps of instructions that are complete. */
export const DEBUG_PENDING = register('DEBUG_PENDING', 'i32', 'control');
/** 1: in the handler of a non-maskable interrupt, until IRET (SDM vol. 3 §6.7.1). */
export const NMI_BLOCKED = register('NMI_BLOCKED', 'i32', 'control');
/** What is held off before the instruction at HELD_IP: 1 interrupts (by STI), 2 debug traps and NMI too (by MOV or POP to SS). */
export const HELD = register('HELD', 'i32', 'user');
export const HELD_IP = register('HELD_IP', 'i64', 'user');
/** Where RF counts: the instruction that IRET went to. */
export const RF_IP = register('RF_IP', 'i64', 'user');

export const EFER = register('IA32_EFER', 'i64', 'control');
export const STAR = register('IA32_STAR', 'i64', 'control');
export const LSTAR = register('IA32_LSTAR', 'i64', 'control');
export const CSTAR = register('IA32_CSTAR', 'i64', 'control');
export const FMASK = register('IA32_FMASK', 'i64', 'control');
export const KERNEL_GS_BASE = register('IA32_KERNEL_GS_BASE', 'i64', 'control');
export const SYSENTER_CS = register('IA32_SYSENTER_CS', 'i64', 'control');
export const SYSENTER_ESP = register('IA32_SYSENTER_ESP', 'i64', 'control');
export const SYSENTER_EIP = register('IA32_SYSENTER_EIP', 'i64', 'control');
export const PAT = register('IA32_PAT', 'i64', 'control');
export const MISC_ENABLE = register('IA32_MISC_ENABLE', 'i64', 'control');
export const TSC_AUX = register('IA32_TSC_AUX', 'i64', 'control');
/** What the guest's writes to the time-stamp counter added to it. */
export const TSC_ADJUST = register('IA32_TSC_ADJUST', 'i64', 'time');

// --- x87, MMX, SSE ----------------------------------------------------------------------------------------------------------------

/**
 * Eight *physical* x87 registers of 16 bytes: significand (8 bytes, also the MMX register), sign and exponent (2 bytes). ST(i) is
 * register (TOP + i) mod 8; MMi is register i.
 */
export const X87 = file('X87', 'user', 8 * 16);
for (let i = 0; i < 8; i++) {
  within(X87, `R${i}.significand`, 'i64', i * 16);
  within(X87, `R${i}.exponent`, 'i16', i * 16 + 8);
}
export const FCW = register('FCW', 'i16', 'user');
/** The status word without TOP (bits 13:11 are zero here). */
export const FSW = register('FSW', 'i16', 'user');
/** The top of the stack, 0–7. */
export const FTOP = register('FTOP', 'i32', 'user');
/** A bit per physical register: 1 is in use, 0 is empty (the abridged tag of FXSAVE, SDM vol. 1 §10.5.1.1). */
export const FTW = register('FTW', 'i8', 'user');
export const FOP = register('FOP', 'i16', 'user');
export const FIP = register('FIP', 'i64', 'user');
export const FDP = register('FDP', 'i64', 'user');
export const FCS = register('FCS', 'i16', 'user');
export const FDS = register('FDS', 'i16', 'user');
/** XMM0…XMM15, 16 bytes each. */
export const XMM = file('XMM', 'user', 16 * 16);
for (let i = 0; i < 16; i++) within(XMM, `XMM${i}`, 'i128', i * 16);
export const MXCSR = register('MXCSR', 'i32', 'user');

// --- the engine's own -------------------------------------------------------------------------------------------------------------

/** Where the reader of `TLB` starts, as an address in linear memory; changes with privilege (see `engine/wasm/tlb.ts`). */
export const TLB_BANK = register('TLB_BANK', 'i32', 'engine');
/** As TLB_BANK, for accesses that the processor makes for itself. */
export const TLB_BANK_SUPERVISOR = register('TLB_BANK_SUPERVISOR', 'i32', 'engine');
/** Where the first bank starts. */
export const TLB_BANKS = register('TLB_BANKS', 'i32', 'engine');
/** Halves of the linear address space of which the TLB may hold parts of large pages: bit 0 the lower, bit 1 the upper. */
export const TLB_LARGE = register('TLB_LARGE', 'i32', 'engine');
/** Bytes of RAM; what lies above is devices. */
export const RAM_SIZE = register('RAM_SIZE', 'i64', 'engine');
/** 1: an exception waits in FAULT_VECTOR to be delivered. */
export const FAULT = register('FAULT', 'i32', 'engine');
export const FAULT_VECTOR = register('FAULT_VECTOR', 'i32', 'engine');
export const FAULT_HAS_CODE = register('FAULT_HAS_CODE', 'i32', 'engine');
export const FAULT_CODE = register('FAULT_CODE', 'i32', 'engine');
/**
 * An exception that a task switch met in the new task: error code in bits 31:0, vector in bits 39:32, whether there is a code in bits
 * 47:40; 0 for none, which is #DE without a code and never comes of a task switch.
 */
export const WAITING_FAULT = register('WAITING_FAULT', 'i64', 'engine');
/** What is being delivered: 0 nothing or a benign exception, 1 a contributory one, 2 #PF, 3 #DF (SDM vol. 3 table 6-5). */
export const DELIVERING = register('DELIVERING', 'i32', 'engine');
/** What DR7 and CR4.DE watch: bits of `BREAKPOINT`. Where it is not zero the engine goes one instruction at a time. */
export const BREAKPOINTS = register('BREAKPOINTS', 'i32', 'engine');
export const BREAKPOINT = { code: 1, data: 2, io: 4 } as const;
/** Every access at the current privilege needs a closer look: bits of `WATCH`. */
export const WATCHED = register('WATCHED', 'i32', 'engine');
export const WATCH = { data: 1, alignment: 2 } as const;
/** Breakpoints that the present instruction met: bits 3:0 as in DR6. */
export const BREAKPOINTS_MET = register('BREAKPOINTS_MET', 'i32', 'engine');
/** 1: the present instruction started with TF set and has not gone to a handler. */
export const TRAP_ARMED = register('TRAP_ARMED', 'i32', 'engine');
/** Instructions retired up to the start of the current block. */
export const RETIRED = register('RETIRED', 'i64', 'engine');
/** The engine leaves its loop at the first block boundary where RETIRED has reached this. */
export const RETIRED_LIMIT = register('RETIRED_LIMIT', 'i64', 'engine');
/** The interrupt source has something: instructions that set IF make the engine leave its loop. */
export const INTERRUPT_PENDING = register('INTERRUPT_PENDING', 'i32', 'engine');
/** Why the engine's loop was left; see `EXIT`. */
export const EXIT_REASON = register('EXIT_REASON', 'i32', 'engine');
/** Counts the address spaces seen: up by one whenever translations are dropped. */
export const GENERATION = register('GENERATION', 'i32', 'engine');
/** The same for the upper half of the address space, which a change of CR3 leaves alone while all its pages are global. */
export const GENERATION_HIGH = register('GENERATION_HIGH', 'i32', 'engine');
/** What the meaning of a linear instruction pointer depends on, at bit 48 and up: generation, privilege, code size. */
export const JUMP_EPOCH = register('JUMP_EPOCH', 'i64', 'engine');
export const JUMP_EPOCH_HIGH = register('JUMP_EPOCH_HIGH', 'i64', 'engine');
/** The record being executed where something outside needs to know: address in linear memory. */
export const RECORD = register('RECORD', 'i32', 'engine');

/** For the statistics: instructions that regions retired, misses of the TLB, and how often regions were left for each cause. */
export const TRANSLATED = register('TRANSLATED', 'i64', 'engine');
export const TLB_MISSES = register('TLB_MISSES', 'i64', 'engine');
export const REGION_EXIT_COUNTS = file('REGION_EXIT_COUNTS', 'engine', 8 * 8);

/** 1: translated code was dropped since this was last cleared. */
export const CODE_DROPPED = register('CODE_DROPPED', 'i32', 'engine');
/** Where the bytes of an instruction lie; see `procedures/fetch.ts`. */
export const FETCH_PHYSICAL = register('FETCH_PHYSICAL', 'i64', 'engine');
/** What else is known of that translation: bits of `TRANSLATION` in `procedures/paging.ts`. */
export const FETCH_INFO = register('FETCH_INFO', 'i32', 'engine');

/** Why an engine's loop was left. */
export const EXIT = { halt: 1, budget: 2, shutdown: 3 } as const;

/** Bytes of a virtual CPU's block. */
export const STATE_SIZE = Math.ceil(next / 64) * 64;
/** Every register by its manual name. */
export const REGISTERS: ReadonlyMap<string, State> = new Map(all.map((s) => [s.name, s]));

const names = new Map([...all, IP_BASE].map((s) => [s.offset, s.name]));
/** The name of what lies at an offset in the virtual CPU's block; the offset itself where nothing begins. */
export const registerAt = (offset: number): string => names.get(offset) ?? `state+${offset}`;
