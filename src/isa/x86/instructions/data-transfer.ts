/** Moves, exchanges, stack, conversions (SDM vol. 1 §5.1.1). */
import { type IntegerType, type Value, WIDTH } from '../../ir/types.ts';
import { CONDITIONS, type Encoding, instruction } from '../definition.ts';
import { VECTOR } from '../exceptions.ts';
import type { BoundOperand } from '../operands.ts';
import type { X86Builder } from '../x86-builder.ts';

const MOV = instruction({
  name: 'MOV',
  rows: [
    '88 /r | Eb,Gb',
    '89 /r | Ev,Gv',
    '8A /r | Gb,Eb',
    '8B /r | Gv,Ev',
    'A0 | AL,Ob',
    'A1 | rAX,Ov',
    'A2 | Ob,AL',
    'A3 | Ov,rAX',
    'B0+r | Zb,Ib',
    'B8+r | Zv,Iv',
    'C6 /0 | Eb,Ib',
    'C7 /0 | Ev,Iz',
  ],
  semantics: (_x, dst, src) => dst.set(src.get()),
});

const extending = (x: X86Builder, dst: BoundOperand, src: BoundOperand, how: 'zext' | 'sext'): void =>
  dst.set(x[how](src.get(), dst.type as IntegerType));
const MOVZX = instruction({
  name: 'MOVZX',
  rows: ['0F B6 /r | Gv,Eb', '0F B7 /r | Gv,Ew'],
  semantics: (x, dst, src) => extending(x, dst, src, 'zext'),
});
const MOVSX = instruction({
  name: 'MOVSX',
  rows: ['0F BE /r | Gv,Eb', '0F BF /r | Gv,Ew'],
  semantics: (x, dst, src) => extending(x, dst, src, 'sext'),
});
const MOVSXD = instruction({
  name: 'MOVSXD',
  rows: ['63 /r | Gv,Ez | o64'],
  semantics: (x, dst, src) => extending(x, dst, src, 'sext'),
});

const LEA = instruction({
  name: 'LEA',
  rows: ['8D /r | Gv,M'],
  semantics: (x, dst) => dst.set(x.trunc(x.effectiveAddress(), dst.type as IntegerType)),
});

const CMOV = CONDITIONS.flatMap((name, cc) =>
  instruction({
    name: `CMOV${name}`,
    rows: [`0F ${(0x40 + cc).toString(16).toUpperCase()} /r | Gv,Ev`],
    // The source is read, and a 32-bit destination's upper half cleared, whatever the condition (SDM vol. 2, CMOVcc).
    semantics: (x, dst, src) => dst.set(x.select(x.flags.condition(cc), src.get(), dst.get())),
  }),
);
const SETCC = CONDITIONS.flatMap((name, cc) =>
  instruction({
    name: `SET${name}`,
    rows: [`0F ${(0x90 + cc).toString(16).toUpperCase()} /r | Eb`],
    semantics: (x, dst) => dst.set(x.zext(x.flags.condition(cc), 'i8')),
  }),
);

const XCHG = instruction({
  name: 'XCHG',
  rows: ['86 /r | Eb,Gb', '87 /r | Ev,Gv', '90+r | Zv,rAX'],
  lockable: true,
  semantics: (_x, a, b) => {
    const left = a.getForWrite();
    const right = b.get();
    a.set(right);
    b.set(left);
  },
});
const NOP = [
  ...instruction({ name: 'NOP', rows: ['90 | | b0'], semantics: () => {} }),
  ...instruction({ name: 'PAUSE', rows: ['F3 90 | | b0'], semantics: () => {} }),
  ...instruction({
    name: 'NOP',
    rows: [
      '0F 1F /r | Ev',
      '0F 19 /r | Ev',
      '0F 1A /r | Ev',
      '0F 1B /r | Ev',
      '0F 1C /r | Ev',
      '0F 1D /r | Ev',
      '0F 1E /r | Ev',
    ],
    semantics: () => {},
  }),
  ...instruction({ name: 'ENDBR64', rows: ['F3 0F 1E FA'], semantics: () => {} }),
  ...instruction({ name: 'ENDBR32', rows: ['F3 0F 1E FB'], semantics: () => {} }),
];

const BSWAP = instruction({
  name: 'BSWAP',
  rows: ['0F C8+r | Zv'],
  semantics: (x, dst) => {
    const value = dst.get();
    // Undefined for 16 bits; processors clear the register.
    if (value.type === 'i16') {
      dst.set(x.const('i16', 0));
      return;
    }
    const bytes = WIDTH[value.type] / 8;
    let result: Value = x.const(value.type, 0);
    for (let i = 0; i < bytes; i++) {
      const byte = x.and(x.shrU(value, i * 8), 0xff);
      result = x.or(result, x.shl(byte, (bytes - 1 - i) * 8));
    }
    dst.set(result);
  },
});

// --- stack ------------------------------------------------------------------------------------------------------------------------

const PUSH = [
  ...instruction({
    name: 'PUSH',
    rows: ['50+r | Zv | d64', 'FF /6 | Ev | d64', '68 | Iz | d64', '6A | Ibs | d64'],
    semantics: (x, src) => x.push(x.sext(src.get(), x.operandType)),
  }),
  ...instruction({
    name: 'PUSH',
    rows: ['06 | ES | i64', '0E | CS | i64', '16 | SS | i64', '1E | DS | i64', '0F A0 | FS | d64', '0F A8 | GS | d64'],
    // A 32-bit push writes two bytes of four on current processors; the pointer moves by four.
    semantics: (x, src) => {
      const bytes = x.parameters.operandSize / 8;
      const pointer = x.sub(x.stackPointer(), bytes);
      const value = x.parameters.operandSize === 64 ? x.zext(src.get(), 'i64') : src.get();
      x.store(x.stackAddress(pointer, WIDTH[value.type] / 8, 'write'), value, 'stack');
      x.setStackPointer(pointer);
    },
  }),
];

const POP = [
  ...instruction({
    name: 'POP',
    rows: ['58+r | Zv | d64'],
    semantics: (x, dst) => {
      const value = x.peek(x.operandType);
      x.drop(x.parameters.operandSize / 8);
      dst.set(value);
    },
  }),
  ...instruction({
    name: 'POP',
    rows: ['8F /0 | Ev | d64'],
    semantics: (x, dst) => {
      const bytes = x.parameters.operandSize / 8;
      const value = x.peek(x.operandType);
      if (!dst.memory) {
        x.drop(bytes);
        dst.set(value);
        return;
      }
      // An address with RSP as base is computed behind the pop (SDM vol. 2, POP).
      const usesStack = x.eq(x.field('rm', 'i32'), 4 * 8);
      const offset = x.maskAddress(x.add(x.effectiveAddress(), x.select(usesStack, x.const('i64', bytes), 0)));
      x.store(x.operandAddressAt(offset, bytes, 'write'), value);
      x.drop(bytes);
    },
  }),
];

const ALL_LEGACY = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const PUSHA = instruction({
  name: 'PUSHA',
  rows: ['60 | | i64'],
  semantics: (x) => {
    const type = x.operandType;
    const bytes = WIDTH[type] / 8;
    const top = x.stackPointer();
    for (const n of ALL_LEGACY) {
      const address = x.stackAddress(x.sub(top, (n + 1) * bytes), bytes, 'write');
      x.store(address, x.register(n, type));
    }
    x.setStackPointer(x.sub(top, 8 * bytes));
  },
});
const POPA = instruction({
  name: 'POPA',
  rows: ['61 | | i64'],
  semantics: (x) => {
    const type = x.operandType;
    const bytes = WIDTH[type] / 8;
    const values = ALL_LEGACY.map((n) => x.peek(type, (7 - n) * bytes));
    x.drop(8 * bytes);
    for (const n of ALL_LEGACY) if (n !== 4) x.setRegister(n, values[n]);
  },
});

const ENTER = instruction({
  name: 'ENTER',
  rows: ['C8 | Iw,Ib | d64'],
  semantics: (x) => {
    const type = x.operandType;
    const bytes = WIDTH[type] / 8;
    const size = x.and(x.field('immediate', 'i64'), 0xffff);
    const level = x.and(x.field('displacement', 'i32'), 0x1f);
    const frameBase = x.register(5, 'i64');
    const top = x.stackPointer();
    const pushAt = (n: Value, value: Value): void => {
      const offset = x.sub(top, x.mul(x.zext(x.add(n, 1), 'i64'), bytes));
      x.store(x.stackAddress(offset, bytes, 'write'), value, 'stack');
    };
    pushAt(x.const('i32', 0), x.register(5, type));
    const frame = x.sub(top, bytes);
    const depth = x.variable(x.const('i32', 1));
    x.loop(() => {
      x.breakIf(x.leU(level, depth.get()));
      const source = x.sub(frameBase, x.mul(x.zext(depth.get(), 'i64'), bytes));
      pushAt(depth.get(), x.load(type, x.stackAddress(source, bytes, 'read'), 'stack'));
      depth.set(x.add(depth.get(), 1));
    });
    x.if(x.ne(level, 0), () => pushAt(level, x.trunc(frame, type)));
    const words = x.add(x.zext(level, 'i64'), 1);
    const bottom = x.sub(x.sub(top, x.mul(words, bytes)), size);
    // The new top must be writable; checked by the hardware before RSP changes.
    x.loadForWrite('i8', x.stackAddress(bottom, 1, 'write'), 'stack');
    x.setRegister(5, x.trunc(frame, type));
    x.setStackPointer(bottom);
  },
});
const LEAVE = instruction({
  name: 'LEAVE',
  rows: ['C9 | | d64'],
  semantics: (x) => {
    const type = x.operandType;
    const bytes = WIDTH[type] / 8;
    const frame = x.register(5, 'i64');
    const value = x.load(type, x.stackAddress(frame, bytes, 'read'), 'stack');
    x.setStackPointer(x.add(frame, bytes));
    x.setRegister(5, value);
  },
});

// --- conversions ------------------------------------------------------------------------------------------------------------------

const half = { i16: 'i8', i32: 'i16', i64: 'i32' } as const;
const CBW = instruction({
  name: 'CBW',
  rows: ['98'],
  semantics: (x) => {
    const type = x.operandType as keyof typeof half;
    x.setRegister(0, x.sext(x.register(0, half[type]), type));
  },
});
const CWD = instruction({
  name: 'CWD',
  rows: ['99'],
  semantics: (x) => {
    const type = x.operandType;
    x.setRegister(2, x.shrS(x.register(0, type), WIDTH[type] - 1));
  },
});

const XLAT = instruction({
  name: 'XLATB',
  rows: ['D7'],
  semantics: (x) => {
    const offset = x.maskAddress(x.add(x.register(3, 'i64'), x.zext(x.register(0, 'i8'), 'i64')));
    x.setRegister(0, x.load('i8', x.linear(x.segment(), offset, 1, 'read')));
  },
});

/** 16 bytes, whose alignment is checked always, are two accesses. */
function compareExchange16(x: X86Builder): void {
  x.raiseIf(x.ne(x.and(x.operandAddress(16, 'write'), 15), 0), VECTOR.GP, 0);
  const low = x.operandAddress(8, 'write');
  const high = x.operandAddress(8, 'write', 8);
  const [oldLow, oldHigh] = [x.loadForWrite('i64', low), x.loadForWrite('i64', high)];
  const equal = x.and(x.eq(oldLow, x.register(0, 'i64')), x.eq(oldHigh, x.register(2, 'i64')));
  x.store(low, x.select(equal, x.register(3, 'i64'), oldLow));
  x.store(high, x.select(equal, x.register(1, 'i64'), oldHigh));
  finishExchange(x, equal, oldLow, oldHigh);
}
function compareExchange8(x: X86Builder): void {
  const address = x.operandAddress(8, 'write');
  const old = x.loadForWrite('i64', address);
  const pair = (low: number, high: number): Value =>
    x.or(x.zext(x.register(low, 'i32'), 'i64'), x.shl(x.zext(x.register(high, 'i32'), 'i64'), 32));
  const equal = x.eq(old, pair(0, 2));
  x.store(address, x.select(equal, pair(3, 1), old));
  finishExchange(x, equal, x.trunc(old, 'i32'), x.trunc(x.shrU(old, 32), 'i32'));
}
function finishExchange(x: X86Builder, equal: Value, oldLow: Value, oldHigh: Value): void {
  x.if(
    equal,
    () => {},
    () => {
      x.setRegister(0, oldLow);
      x.setRegister(2, oldHigh);
    },
  );
  x.flags.setAll({ ...x.flags.all(), zf: equal });
}
const CMPXCHG8B = [
  ...instruction({
    name: 'CMPXCHG8B',
    rows: ['0F C7 /1 | Mq | w0'],
    lockable: true,
    semantics: (x) => compareExchange8(x),
  }),
  ...instruction({
    name: 'CMPXCHG16B',
    rows: ['0F C7 /1 | Mdq | w1'],
    lockable: true,
    semantics: (x) => compareExchange16(x),
  }),
];

const BOUND = instruction({
  name: 'BOUND',
  rows: ['62 /r | Gv,M | i64'],
  semantics: (x, index) => {
    const type = x.operandType;
    const bytes = WIDTH[type] / 8;
    const low = x.load(type, x.operandAddress(bytes, 'read'));
    const high = x.load(type, x.operandAddress(bytes, 'read', bytes));
    x.raiseIf(x.or(x.ltS(index.get(), low), x.ltS(high, index.get())), VECTOR.BR);
  },
});

export const DATA_TRANSFER: readonly Encoding[] = [
  ...MOV,
  ...MOVZX,
  ...MOVSX,
  ...MOVSXD,
  ...LEA,
  ...CMOV,
  ...SETCC,
  ...XCHG,
  ...NOP,
  ...BSWAP,
  ...PUSH,
  ...POP,
  ...PUSHA,
  ...POPA,
  ...ENTER,
  ...LEAVE,
  ...CBW,
  ...CWD,
  ...XLAT,
  ...CMPXCHG8B,
  ...BOUND,
];
