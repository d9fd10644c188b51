/**
 * The child process that runs cases on the host's processor, as machine code.
 *
 * It lives in one signal handler: every case ends in a signal (its last instruction is INT3), the kernel has then saved the registers
 * in the signal frame, the handler copies them out, puts the next case's registers into the frame and returns into the next case.
 */
import { type ElfSegment, elfImage } from './native-elf.ts';
import {
  ALTERNATE_STACK,
  BUFFER_BYTES,
  CODE_BYTES,
  CODE_PAGE,
  DATA_SELECTOR,
  FRAME,
  FS_BASE,
  FX_BYTES,
  GS_BASE,
  HARNESS,
  INPUT,
  INPUT_BUFFER,
  OUTPUT,
  OUTPUT_BUFFER,
  PAGE_SIZE,
  SCRATCH_PAGE,
} from './native-layout.ts';

const SYSCALL = {
  read: 0,
  write: 1,
  rtSigaction: 13,
  rtSigreturn: 15,
  sigaltstack: 131,
  archPrctl: 158,
  exitGroup: 231,
} as const;
const SIGNALS = { ILL: 4, TRAP: 5, BUS: 7, FPE: 8, SEGV: 11 } as const;
const SA_SIGINFO = 4;
const SA_RESTORER = 0x0400_0000;
const SA_ONSTACK = 0x0800_0000;
const SA_NODEFER = 0x4000_0000;
const ARCH_SET_GS = 0x1001;
const ARCH_SET_FS = 0x1002;

/** In `struct ucontext`: the saved registers, then a pointer to the saved floating-point state. */
const CONTEXT_FRAME = 40;
const CONTEXT_FPSTATE = CONTEXT_FRAME + FRAME.words * 8;
/** XSTATE_BV in an XSAVE area: the x87 and SSE parts are there to restore. */
const XSTATE_BV = 512;

const [RAX, RCX, RDX, , , , RSI, RDI] = [0, 1, 2, 3, 4, 5, 6, 7];
const [R10, R12, R13, R14, R15] = [10, 12, 13, 14, 15];

const DATA = HARNESS + 0x8000;
/** The program's variables. */
const VARIABLE = { input: DATA, inputEnd: DATA + 8, output: DATA + 16 } as const;
const SIGACTION = DATA + 0x40;
const STACK_T = DATA + 0x80;

const low = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff);

/** Just the instructions that the program needs. */
class Assembler {
  readonly bytes: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #uses: { at: number; label: string }[] = [];

  emit(...bytes: number[]): void {
    this.bytes.push(...bytes);
  }
  label(name: string): void {
    this.#labels.set(name, this.bytes.length);
  }
  address(name: string): number {
    return HARNESS + this.#labels.get(name)!;
  }
  /** The shortest MOV: 32 bits are zero-extended. */
  set(register: number, value: number): void {
    const isWide = value >= 2 ** 32;
    if (isWide || register >= 8) this.emit(0x40 | (isWide ? 8 : 0) | (register >> 3));
    this.emit(0xb8 | (register & 7), ...low(value, isWide ? 8 : 4));
  }
  /** An instruction with a register and memory at [base + displacement]. */
  memory(opcode: number, register: number, base: number, displacement: number): void {
    this.emit(0x48 | ((register & 8) >> 1) | (base >> 3), opcode, 0x80 | ((register & 7) << 3) | (base & 7));
    if ((base & 7) === 4) this.emit(0x24);
    this.emit(...low(displacement, 4));
  }
  load(register: number, base: number, displacement: number): void {
    this.memory(0x8b, register, base, displacement);
  }
  store(register: number, base: number, displacement: number): void {
    this.memory(0x89, register, base, displacement);
  }
  lea(register: number, base: number, displacement: number): void {
    this.memory(0x8d, register, base, displacement);
  }
  /** To and from variables, relative to RIP. */
  variable(opcode: number, register: number, address: number): void {
    this.emit(0x48 | ((register & 8) >> 1), opcode, 0x05 | ((register & 7) << 3));
    this.emit(...low((address - HARNESS - this.bytes.length - 4) >>> 0, 4));
  }
  /** `opcode`: of a jump with a 32-bit displacement. */
  jump(opcode: readonly number[], label: string): void {
    this.emit(...opcode);
    this.#uses.push({ at: this.bytes.length, label });
    this.emit(0, 0, 0, 0);
  }
  syscall(number: number): void {
    this.set(RAX, number);
    this.emit(0x0f, 0x05);
  }
  /** Copies `bytes`, a multiple of 8, from [RSI] to [RDI]. */
  copy(bytes: number): void {
    this.set(RCX, bytes / 8);
    this.emit(0xf3, 0x48, 0xa5);
  }
  finish(): Uint8Array {
    for (const { at, label } of this.#uses) {
      const target = this.#labels.get(label)!;
      this.bytes.splice(at, 4, ...low((target - at - 4) >>> 0, 4));
    }
    return Uint8Array.from(this.bytes);
  }
}

const JMP = [0xe9] as const;
const JE = [0x0f, 0x84] as const;
const JNE = [0x0f, 0x85] as const;
const JAE = [0x0f, 0x83] as const;
const JLE = [0x0f, 0x8e] as const;

/** Reads all cases, then starts the first by raising a signal. */
function start(a: Assembler): void {
  a.label('start');
  a.set(RSI, INPUT_BUFFER);
  a.label('read');
  a.set(RDI, 0);
  a.set(RDX, BUFFER_BYTES);
  a.syscall(SYSCALL.read);
  a.emit(0x48, 0x85, 0xc0); // test rax,rax
  a.jump(JLE, 'have all');
  a.emit(0x48, 0x01, 0xc6); // add rsi,rax
  a.jump(JMP, 'read');
  a.label('have all');
  a.variable(0x89, RSI, VARIABLE.inputEnd);
  a.set(RDI, STACK_T);
  a.set(RSI, 0);
  a.syscall(SYSCALL.sigaltstack);
  for (const signal of Object.values(SIGNALS)) {
    a.set(RDI, signal);
    a.set(RSI, SIGACTION);
    a.set(RDX, 0);
    a.set(R10, 8);
    a.syscall(SYSCALL.rtSigaction);
  }
  for (const [code, base] of [
    [ARCH_SET_FS, FS_BASE],
    [ARCH_SET_GS, GS_BASE],
  ]) {
    a.set(RDI, code);
    a.set(RSI, base);
    a.syscall(SYSCALL.archPrctl);
  }
  a.set(RAX, DATA_SELECTOR);
  a.emit(0x8e, 0xd8, 0x8e, 0xc0); // mov ds,eax; mov es,eax
  a.emit(0xcc);
}

/** EDI: signal, RDX: context. */
function handler(a: Assembler): void {
  a.label('handler');
  a.emit(0x49, 0x89, 0xd7); // mov r15,rdx
  a.emit(0x41, 0x89, 0xfe); // mov r14d,edi
  a.variable(0x8b, R12, VARIABLE.output);
  a.emit(0x4d, 0x85, 0xe4); // test r12,r12
  a.jump(JNE, 'save');
  a.set(R12, OUTPUT_BUFFER);
  a.jump(JMP, 'next');
  a.label('save');
  a.lea(RSI, R15, CONTEXT_FRAME);
  a.lea(RDI, R12, OUTPUT.frame);
  a.copy(FRAME.words * 8);
  a.store(R14, R12, OUTPUT.signal);
  a.load(RSI, R15, CONTEXT_FPSTATE);
  a.lea(RDI, R12, OUTPUT.fx);
  a.copy(FX_BYTES);
  a.set(RSI, SCRATCH_PAGE);
  a.lea(RDI, R12, OUTPUT.scratch);
  a.copy(PAGE_SIZE);
  a.lea(R12, R12, OUTPUT.size);
  a.label('next');
  a.variable(0x89, R12, VARIABLE.output);
  a.variable(0x8b, R13, VARIABLE.input);
  a.variable(0x3b, R13, VARIABLE.inputEnd); // cmp r13,[inputEnd]
  a.jump(JAE, 'finish');
  loadCase(a);
  a.emit(0xc3);
}

/** R13: the case. */
function loadCase(a: Assembler): void {
  a.lea(RSI, R13, INPUT.code);
  a.set(RDI, CODE_PAGE);
  a.copy(CODE_BYTES);
  a.lea(RSI, R13, INPUT.scratch);
  a.set(RDI, SCRATCH_PAGE);
  a.copy(PAGE_SIZE);
  a.lea(RSI, R13, INPUT.frame);
  a.lea(RDI, R15, CONTEXT_FRAME);
  a.copy(INPUT.frameWords * 8);
  a.lea(RSI, R13, INPUT.fx);
  a.load(RDI, R15, CONTEXT_FPSTATE);
  a.copy(FX_BYTES);
  a.load(RDI, R15, CONTEXT_FPSTATE);
  a.emit(0x80, 0x8f, ...low(XSTATE_BV, 4), 3); // or byte [rdi+XSTATE_BV],3
  a.lea(R13, R13, INPUT.size);
  a.variable(0x89, R13, VARIABLE.input);
}

/** R12: the end of the results. */
function finish(a: Assembler): void {
  a.label('finish');
  a.set(RSI, OUTPUT_BUFFER);
  a.emit(0x4c, 0x89, 0xe2); // mov rdx,r12
  a.emit(0x48, 0x29, 0xf2); // sub rdx,rsi
  a.label('write');
  a.jump(JE, 'exit');
  a.set(RDI, 1);
  a.syscall(SYSCALL.write);
  a.emit(0x48, 0x85, 0xc0); // test rax,rax
  a.jump(JLE, 'exit');
  a.emit(0x48, 0x01, 0xc6); // add rsi,rax
  a.emit(0x48, 0x29, 0xc2); // sub rdx,rax
  a.jump(JMP, 'write');
  a.label('exit');
  a.set(RDI, 0);
  a.syscall(SYSCALL.exitGroup);
  a.label('restorer');
  a.syscall(SYSCALL.rtSigreturn);
}

/** The executable. */
export function nativeProgram(): Uint8Array {
  const a = new Assembler();
  start(a);
  handler(a);
  finish(a);
  const code = a.finish();
  const bytes = new Uint8Array(DATA - HARNESS + 0x100);
  bytes.set(code);
  const view = new DataView(bytes.buffer);
  const put = (address: number, value: number): void => view.setBigUint64(address - HARNESS, BigInt(value), true);
  put(VARIABLE.input, INPUT_BUFFER);
  put(SIGACTION, a.address('handler'));
  put(SIGACTION + 8, SA_SIGINFO | SA_RESTORER | SA_ONSTACK | SA_NODEFER);
  put(SIGACTION + 16, a.address('restorer'));
  put(STACK_T, ALTERNATE_STACK.at);
  put(STACK_T + 16, ALTERNATE_STACK.size);
  const zeroed = (address: number, size: number, executable = false): ElfSegment => ({ address, size, executable });
  return elfImage(a.address('start'), [
    zeroed(CODE_PAGE, PAGE_SIZE, true),
    zeroed(SCRATCH_PAGE, PAGE_SIZE),
    { address: HARNESS, size: ALTERNATE_STACK.at + ALTERNATE_STACK.size - HARNESS, bytes, executable: true },
    zeroed(INPUT_BUFFER, BUFFER_BYTES),
    zeroed(OUTPUT_BUFFER, BUFFER_BYTES),
  ]);
}
