/**
 * Operand codes (SDM vol. 2 appendix A.2) and how each becomes values of the IR.
 *
 * Addressing: E ModRM register or memory · G ModRM reg · Z register in the opcode · R ModRM register only · M memory only · I immediate ·
 * J relative target · O absolute offset · A far pointer · S segment register · C, D control and debug registers ·
 * V, W, U XMM register in reg, XMM or memory, XMM in rm · P, Q, N the same for MMX · STi an x87 register (and ST0).
 * Size: b 8 · w 16 · d 32 · q 64 · v operand size · y 32, or 64 with that operand size · z 16, else 32 · x, dq 128 · none: no access.
 */
import {
  type IntegerType,
  integerType,
  type StateFile,
  type StateType,
  type Type,
  type Value,
  WIDTH,
} from '../ir/types.ts';
import type { Parameters } from './definition.ts';
import { GPR, SEGMENT, SEGMENT_STRIDE, SEGMENTS, X87, XMM } from './state.ts';
import type { X86Builder } from './x86-builder.ts';

/** An operand in one instruction body. */
export interface BoundOperand {
  readonly code: string;
  readonly memory: boolean;
  /** The type of its value; for `M` without size there is none and only `address` works. */
  readonly type: StateType;
  get(): Value;
  /** As `get`, where a `set` follows: memory is checked for writing. */
  getForWrite(): Value;
  set(value: Value): void;
  /** Register number or byte offset, `i32`: for STi, C, D and S operands. */
  number(): Value;
}

const SIZES: Readonly<Record<string, ((p: Parameters) => number) | undefined>> = {
  b: () => 8,
  bs: () => 8,
  w: () => 16,
  d: () => 32,
  q: () => 64,
  x: () => 128,
  dq: () => 128,
  v: (p) => p.operandSize,
  y: (p) => (p.operandSize === 64 ? 64 : 32),
  z: (p) => (p.operandSize === 16 ? 16 : 32),
  /** As wide as a general register of the mode: control and debug registers. */
  r: (p) => (p.long ? 64 : 32),
};

export interface OperandCode {
  readonly addressing: string;
  readonly size: string;
}
/** What follows from a code alone. */
interface ParsedCode extends OperandCode {
  /** Bits of the operand; undefined where the code has no size. */
  readonly width: ((p: Parameters) => number) | undefined;
  /** The general register that it names. */
  readonly fixed: number | undefined;
}

const FIXED: Readonly<Record<string, { register: number; size: string }>> = {
  AL: { register: 0, size: 'b' },
  CL: { register: 1, size: 'b' },
  AX: { register: 0, size: 'w' },
  DX: { register: 2, size: 'w' },
  EAX: { register: 0, size: 'd' },
  rAX: { register: 0, size: 'v' },
  zAX: { register: 0, size: 'z' },
};

const parsed = new Map<string, ParsedCode>();
/** `'Ev'` → addressing E, size v. Fixed registers, `1` and `ST0` have themselves as addressing. */
export const parseOperand = (code: string): OperandCode => known(code);
function known(code: string): ParsedCode {
  const before = parsed.get(code);
  if (before !== undefined) return before;
  const { addressing, size } = parse(code);
  const operand = { addressing, size, width: SIZES[size], fixed: fixedRegister(code) };
  parsed.set(code, operand);
  return operand;
}
function parse(code: string): OperandCode {
  if (code in FIXED) return { addressing: code, size: FIXED[code].size };
  if (code.startsWith('ST') || code === '1' || code === 'XMM0' || /^[ECSDFG]S$/.test(code))
    return { addressing: code, size: '' };
  return { addressing: code[0], size: code.slice(1) };
}

/** The fixed general register that a code such as `rAX` names. */
export function fixedRegister(code: string): number | undefined {
  return FIXED[code]?.register;
}

/** Bits of the operand for these parameters; 0 where the code has no size. */
export function operandWidth(code: string, p: Parameters): number {
  return known(code).width?.(p) ?? 0;
}

function widthType(width: number): StateType {
  return width === 128 ? 'i128' : width === 0 ? 'i64' : integerType(width);
}

/** A register of a file at a byte; a narrower operand is its low part. */
class RegisterOperand implements BoundOperand {
  readonly code: string;
  readonly memory = false;
  readonly type: StateType;
  readonly #x: X86Builder;
  readonly #file: StateFile;
  readonly #at: Value;

  constructor(x: X86Builder, code: string, type: StateType, file: StateFile, at: Value) {
    this.#x = x;
    this.code = code;
    this.type = type;
    this.#file = file;
    this.#at = at;
  }
  get(): Value {
    return this.#x.getAt(this.#file, this.#at, this.type);
  }
  getForWrite(): Value {
    return this.get();
  }
  /** Writes of 32 bits to a general register clear the upper half (SDM vol. 1 §3.4.1.1); others keep the rest. */
  set(value: Value): void {
    const clears = this.#file === GPR && this.type === 'i32';
    this.#x.setAt(this.#file, this.#at, clears ? this.#x.zext(value, 'i64') : value);
  }
  number(): Value {
    return this.#at;
  }
}
const generalRegister = (x: X86Builder, code: string, type: StateType, at: Value): BoundOperand =>
  new RegisterOperand(x, code, type, GPR, at);

class MemoryOperand implements BoundOperand {
  readonly code: string;
  readonly memory = true;
  readonly type: StateType;
  readonly #x: X86Builder;

  constructor(x: X86Builder, code: string, type: StateType) {
    this.#x = x;
    this.code = code;
    this.type = type;
  }
  get(): Value {
    return this.#x.loadOperand(this.type);
  }
  getForWrite(): Value {
    return this.#x.loadOperand(this.type, 'forWrite');
  }
  set(value: Value): void {
    this.#x.storeOperand(value);
  }
  number(): Value {
    return this.#x.const('i32', 0);
  }
}

function readOnly(x: X86Builder, code: string, type: Type, value: () => Value): BoundOperand {
  const fail = (): never => {
    throw new Error(`operand ${code} cannot be written`);
  };
  return {
    code,
    memory: false,
    type: type as StateType,
    get: value,
    getForWrite: fail,
    set: fail,
    number: () => x.trunc(value(), 'i32'),
  };
}

function segmentRegister(x: X86Builder, code: string, at: Value): BoundOperand {
  const selector = (): Value => x.getAt(SEGMENTS, x.add(at, SEGMENT.selector), 'i16');
  return { ...readOnly(x, code, 'i16', selector), number: () => at };
}

/** Binds `code` to the fields of the instruction that `x` is building. */
export function bindOperand(x: X86Builder, code: string): BoundOperand {
  const { addressing, size, width, fixed } = known(code);
  const type = widthType(width?.(x.parameters) ?? 0);
  const reg = (): Value => x.field('reg', 'i32');
  const rm = (): Value => x.field('rm', 'i32');
  if (fixed !== undefined) return generalRegister(x, code, type, x.const('i32', fixed * 8));
  const inMemory = x.parameters.memory;
  switch (addressing) {
    case 'E':
      return inMemory ? new MemoryOperand(x, code, type) : generalRegister(x, code, type, rm());
    case 'G':
    case 'Z':
      return generalRegister(x, code, type, reg());
    case 'R':
      return generalRegister(x, code, type, rm());
    case 'M':
      return new MemoryOperand(x, code, type);
    case 'O':
      return new MemoryOperand(x, code, type);
    case 'V':
      return new RegisterOperand(x, code, type, XMM, reg());
    case 'W':
      return inMemory ? new MemoryOperand(x, code, type) : new RegisterOperand(x, code, type, XMM, rm());
    case 'U':
      return new RegisterOperand(x, code, type, XMM, rm());
    case 'XMM0':
      return new RegisterOperand(x, code, 'i128', XMM, x.const('i32', 0));
    case 'P':
      return new RegisterOperand(x, code, type, X87, reg());
    case 'Q':
      return inMemory ? new MemoryOperand(x, code, type) : new RegisterOperand(x, code, type, X87, rm());
    case 'N':
      return new RegisterOperand(x, code, type, X87, rm());
    case 'I': {
      // What the decoder sign-extends is as wide as the operation.
      const wide = size === 'z' || size === 'bs' ? x.operandType : (type as IntegerType);
      return readOnly(x, code, wide, () => x.immediate(wide));
    }
    case '1':
      return readOnly(x, code, 'i8', () => x.const('i8', 1));
    case 'J':
    case 'A':
      return readOnly(x, code, 'i64', () => x.field('immediate', 'i64'));
    case 'S':
      return segmentRegister(x, code, reg());
    case 'C':
    case 'D':
      return readOnly(x, code, 'i32', reg);
    case 'STi':
      return readOnly(x, code, 'i32', rm);
    case 'ST0':
      return readOnly(x, code, 'i32', () => x.const('i32', 0));
    default:
      return bindSegment(x, code, addressing);
  }
}

function bindSegment(x: X86Builder, code: string, name: string): BoundOperand {
  const number = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'].indexOf(name);
  if (number < 0) throw new Error(`no operand code ${code}`);
  return segmentRegister(x, code, x.const('i32', number * SEGMENT_STRIDE));
}

/** Bytes of a value. */
export const bytesOf = (type: Type): number => WIDTH[type] / 8;
