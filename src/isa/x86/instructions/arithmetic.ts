/** Binary integer arithmetic and logic (SDM vol. 1 §5.1.2, §5.1.4). */
import type { IntegerType, Value } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import { VECTOR } from '../exceptions.ts';
import { RFLAGS } from '../flags.ts';
import { divide128, mulHighSigned, mulHighUnsigned } from '../procedures/wide-arithmetic.ts';
import type { X86Builder } from '../x86-builder.ts';

/** `op Eb,Gb … op rAX,Iz` at 00–05, 08–0D, … and group 1 (SDM vol. 2 table A-6). */
function aluRows(n: number): string[] {
  const opcode = (i: number): string => (n * 8 + i).toString(16).toUpperCase().padStart(2, '0');
  return [
    `${opcode(0)} /r | Eb,Gb`,
    `${opcode(1)} /r | Ev,Gv`,
    `${opcode(2)} /r | Gb,Eb`,
    `${opcode(3)} /r | Gv,Ev`,
    `${opcode(4)} | AL,Ib`,
    `${opcode(5)} | rAX,Iz`,
    `80 /${n} | Eb,Ib`,
    `81 /${n} | Ev,Iz`,
    `82 /${n} | Eb,Ib | i64`,
    `83 /${n} | Ev,Ibs`,
  ];
}

type Alu = (x: X86Builder, a: Value, b: Value) => { result: Value; flags: () => void };

const carryIn = (x: X86Builder, type: IntegerType): Value => x.zext(x.flags.cf(), type);
const ADD: Alu = (x, a, b) => {
  const result = x.add(a, b);
  return { result, flags: () => x.flags.add(a, b, result) };
};
const ADC: Alu = (x, a, b) => {
  const result = x.add(x.add(a, b), carryIn(x, a.type as IntegerType));
  return { result, flags: () => x.flags.add(a, b, result, true) };
};
const SUB: Alu = (x, a, b) => {
  const result = x.sub(a, b);
  return { result, flags: () => x.flags.sub(a, b, result) };
};
const SBB: Alu = (x, a, b) => {
  const result = x.sub(x.sub(a, b), carryIn(x, a.type as IntegerType));
  return { result, flags: () => x.flags.sub(a, b, result, true) };
};
const logic =
  (f: (x: X86Builder, a: Value, b: Value) => Value): Alu =>
  (x, a, b) => {
    const result = f(x, a, b);
    return { result, flags: () => x.flags.logic(result) };
  };
const AND = logic((x, a, b) => x.and(a, b));
const OR = logic((x, a, b) => x.or(a, b));
const XOR = logic((x, a, b) => x.xor(a, b));

const readModifyWrite =
  (alu: Alu): Semantics =>
  (x, dst, src) => {
    const { result, flags } = alu(x, dst.getForWrite(), src.get());
    dst.set(result);
    flags();
  };
const compareOnly =
  (alu: Alu): Semantics =>
  (x, dst, src) =>
    alu(x, dst.get(), src.get()).flags();

const ALU: readonly (readonly Encoding[])[] = (
  [
    ['ADD', ADD],
    ['OR', OR],
    ['ADC', ADC],
    ['SBB', SBB],
    ['AND', AND],
    ['SUB', SUB],
    ['XOR', XOR],
  ] as const
).map(([name, alu]) =>
  instruction({
    name,
    rows: aluRows(['ADD', 'OR', 'ADC', 'SBB', 'AND', 'SUB', 'XOR'].indexOf(name)),
    lockable: true,
    undefinedFlags: ['AND', 'OR', 'XOR'].includes(name) ? RFLAGS.AF : 0,
    semantics: readModifyWrite(alu),
  }),
);

const CMP = instruction({ name: 'CMP', rows: aluRows(7), semantics: compareOnly(SUB) });
const TEST = instruction({
  name: 'TEST',
  rows: [
    '84 /r | Eb,Gb',
    '85 /r | Ev,Gv',
    'A8 | AL,Ib',
    'A9 | rAX,Iz',
    'F6 /0 | Eb,Ib',
    'F6 /1 | Eb,Ib',
    'F7 /0 | Ev,Iz',
    'F7 /1 | Ev,Iz',
  ],
  undefinedFlags: RFLAGS.AF,
  semantics: compareOnly(AND),
});

const step =
  (alu: Alu): Semantics =>
  (x, dst) => {
    const carry = x.flags.cf();
    const { result, flags } = alu(x, dst.getForWrite(), x.const(dst.type, 1));
    dst.set(result);
    flags();
    x.flags.keepCarry(carry);
  };
const INC = instruction({
  name: 'INC',
  rows: ['FE /0 | Eb', 'FF /0 | Ev', '40+r | Zv | i64'],
  lockable: true,
  semantics: step(ADD),
});
const DEC = instruction({
  name: 'DEC',
  rows: ['FE /1 | Eb', 'FF /1 | Ev', '48+r | Zv | i64'],
  lockable: true,
  semantics: step(SUB),
});
const NOT = instruction({
  name: 'NOT',
  rows: ['F6 /2 | Eb', 'F7 /2 | Ev'],
  lockable: true,
  semantics: (x, dst) => dst.set(x.not(dst.getForWrite())),
});
const NEG = instruction({
  name: 'NEG',
  rows: ['F6 /3 | Eb', 'F7 /3 | Ev'],
  lockable: true,
  semantics: (x, dst) => {
    const value = dst.getForWrite();
    const { result, flags } = SUB(x, x.const(dst.type, 0), value);
    dst.set(result);
    flags();
  },
});

const XADD = instruction({
  name: 'XADD',
  rows: ['0F C0 /r | Eb,Gb', '0F C1 /r | Ev,Gv'],
  lockable: true,
  semantics: (x, dst, src) => {
    const a = dst.getForWrite();
    const { result, flags } = ADD(x, a, src.get());
    if (dst.memory) {
      dst.set(result);
      src.set(a);
    } else {
      // With the same register twice the sum stays.
      src.set(a);
      dst.set(result);
    }
    flags();
  },
});

const CMPXCHG = instruction({
  name: 'CMPXCHG',
  rows: ['0F B0 /r | Eb,Gb', '0F B1 /r | Ev,Gv'],
  lockable: true,
  semantics: (x, dst, src) => {
    const type = dst.type as IntegerType;
    const accumulator = x.register(0, type);
    const value = dst.getForWrite();
    const equal = x.eq(accumulator, value);
    // The destination is written either way (SDM vol. 2, CMPXCHG).
    const replacement = x.select(equal, src.get(), value);
    if (dst.memory) dst.set(replacement);
    else x.if(equal, () => dst.set(replacement));
    x.if(
      equal,
      () => {},
      () => x.setRegister(0, value),
    );
    x.flags.sub(accumulator, value, x.sub(accumulator, value));
  },
});

// --- multiplication and division --------------------------------------------------------------------------------------------------

type Wide = Record<'low' | 'high', Value>;

/** The product in two halves of the operands' type. */
function product(x: X86Builder, a: Value, b: Value, signed: boolean): Wide {
  const type = a.type as IntegerType;
  if (type === 'i64') {
    const [high] = x.call(signed ? mulHighSigned : mulHighUnsigned, a, b);
    return { low: x.mul(a, b), high };
  }
  const extend = (v: Value): Value => (signed ? x.sext(v, 'i64') : x.zext(v, 'i64'));
  const wide = x.mul(extend(a), extend(b));
  const bits = { i8: 8, i16: 16, i32: 32 }[type];
  return { low: x.trunc(wide, type), high: x.trunc(x.shrU(wide, bits), type) };
}

/** CF and OF: the upper half is significant. The other flags are undefined; they follow the lower half as on current processors. */
function multiplyFlags(x: X86Builder, { low, high }: Wide, signed: boolean): void {
  const bits = { i8: 7, i16: 15, i32: 31, i64: 63 }[low.type as IntegerType];
  const overflow = signed ? x.ne(high, x.shrS(low, bits)) : x.ne(high, 0);
  x.flags.shift(low, overflow, overflow);
}

const MULTIPLY_UNDEFINED = RFLAGS.SF | RFLAGS.ZF | RFLAGS.AF | RFLAGS.PF;

const multiplyAccumulator =
  (signed: boolean): Semantics =>
  (x, src) => {
    const type = src.type as IntegerType;
    const wide = product(x, x.register(0, type), src.get(), signed);
    setWide(x, wide);
    multiplyFlags(x, wide, signed);
  };

/** AX, or DX:AX and wider. */
function setWide(x: X86Builder, { low, high }: Wide): void {
  if (low.type === 'i8') {
    x.setRegister(0, x.or(x.zext(low, 'i16'), x.shl(x.zext(high, 'i16'), 8)));
    return;
  }
  x.setRegister(0, low);
  x.setRegister(2, high);
}

const MUL = instruction({
  name: 'MUL',
  rows: ['F6 /4 | Eb', 'F7 /4 | Ev'],
  undefinedFlags: MULTIPLY_UNDEFINED,
  semantics: multiplyAccumulator(false),
});
const IMUL = [
  ...instruction({
    name: 'IMUL',
    rows: ['F6 /5 | Eb', 'F7 /5 | Ev'],
    undefinedFlags: MULTIPLY_UNDEFINED,
    semantics: multiplyAccumulator(true),
  }),
  ...instruction({
    name: 'IMUL',
    rows: ['0F AF /r | Gv,Ev', '69 /r | Gv,Ev,Iz', '6B /r | Gv,Ev,Ibs'],
    undefinedFlags: MULTIPLY_UNDEFINED,
    semantics: (x, dst, a, b) => {
      const wide = b === undefined ? product(x, dst.get(), a.get(), true) : product(x, a.get(), b.get(), true);
      dst.set(wide.low);
      multiplyFlags(x, wide, true);
    },
  }),
];

/** Quotient and remainder of 16-, 32- and 64-bit dividends, by a division of 64 bits. */
function divideNarrow(x: X86Builder, divisor: Value, signed: boolean): void {
  const type = divisor.type as 'i8' | 'i16' | 'i32';
  const extend = (v: Value): Value => (signed ? x.sext(v, 'i64') : x.zext(v, 'i64'));
  const bits = { i8: 8, i16: 16, i32: 32 }[type];
  const joined =
    type === 'i8'
      ? x.register(0, 'i16')
      : x.or(x.zext(x.register(0, type), 'i64'), x.shl(x.zext(x.register(2, type), 'i64'), bits));
  const dividend = type === 'i32' ? joined : extend(x.trunc(joined, type === 'i8' ? 'i16' : 'i32'));
  const wideDivisor = extend(divisor);
  // The one signed division of 64 bits that overflows also has a quotient too large; keep it away from the operation.
  if (signed) x.raiseIf(x.and(x.eq(wideDivisor, -1n), x.eq(dividend, 1n << 63n)), VECTOR.DE);
  const quotient = x.op(signed ? 'div_s' : 'div_u', [dividend, wideDivisor]);
  const narrow = x.trunc(quotient, type);
  x.raiseIf(x.ne(extend(narrow), quotient), VECTOR.DE);
  const remainder = x.trunc(x.op(signed ? 'rem_s' : 'rem_u', [dividend, wideDivisor]), type);
  setWide(x, { low: narrow, high: remainder });
}

const divide =
  (signed: boolean): Semantics =>
  (x, src) => {
    const divisor = src.get();
    x.raiseIf(x.eq(divisor, 0), VECTOR.DE);
    if (src.type !== 'i64') {
      divideNarrow(x, divisor, signed);
      return;
    }
    const [quotient, remainder] = x.call(
      divide128,
      x.register(2, 'i64'),
      x.register(0, 'i64'),
      divisor,
      x.const('i32', signed ? 1 : 0),
    );
    setWide(x, { low: quotient, high: remainder });
  };
const DIVIDE_UNDEFINED = MULTIPLY_UNDEFINED | RFLAGS.CF | RFLAGS.OF;
const DIV = instruction({
  name: 'DIV',
  rows: ['F6 /6 | Eb', 'F7 /6 | Ev'],
  undefinedFlags: DIVIDE_UNDEFINED,
  semantics: divide(false),
});
const IDIV = instruction({
  name: 'IDIV',
  rows: ['F6 /7 | Eb', 'F7 /7 | Ev'],
  undefinedFlags: DIVIDE_UNDEFINED,
  semantics: divide(true),
});

export const ARITHMETIC: readonly Encoding[] = [
  ...ALU.flat(),
  ...CMP,
  ...TEST,
  ...INC,
  ...DEC,
  ...NOT,
  ...NEG,
  ...XADD,
  ...CMPXCHG,
  ...MUL,
  ...IMUL,
  ...DIV,
  ...IDIV,
];
