/** Bit tests, scans and counts (SDM vol. 1 §5.1.6). */
import { type IntegerType, type Value, WIDTH } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import { RFLAGS } from '../flags.ts';
import type { X86Builder } from '../x86-builder.ts';

type Change = ((x: X86Builder, value: Value, mask: Value) => Value) | undefined;

/** A register as bit offset reaches beyond a memory operand: the word that holds the bit (SDM vol. 1 §4.2.1, BT). */
function wordAddress(x: X86Builder, offset: Value, type: IntegerType, write: boolean): Value {
  const width = WIDTH[type];
  const words = x.shrS(x.sext(offset, 'i64'), Math.log2(width));
  const at = x.maskAddress(x.add(x.effectiveAddress(), x.mul(words, width / 8)));
  return x.linear(x.segment(), at, width / 8, write ? 'write' : 'read');
}

const bitTest =
  (change: Change): Semantics =>
  (x, base, offset) => {
    const type = base.type as IntegerType;
    const width = WIDTH[type];
    const isRegister = offset.code !== 'Ib';
    const n = x.and(x.zext(offset.get(), type), width - 1);
    const mask = x.shl(x.const(type, 1), n);
    const test = (value: Value): Value => x.trunc(x.shrU(value, n), 'i1');
    if (base.memory && isRegister) {
      const address = wordAddress(x, offset.get(), type, change !== undefined);
      const value = change ? x.loadForWrite(type, address) : x.load(type, address);
      if (change) x.store(address, change(x, value, mask));
      x.flags.setCarryAndOverflow(test(value), x.const('i1', 0));
      return;
    }
    const value = change ? base.getForWrite() : base.get();
    if (change) base.set(change(x, value, mask));
    x.flags.setCarryAndOverflow(test(value), x.const('i1', 0));
  };

const BIT_TEST_UNDEFINED = RFLAGS.OF | RFLAGS.SF | RFLAGS.AF | RFLAGS.PF;
const bitTests = (
  [
    ['BT', 'A3', 4, undefined],
    ['BTS', 'AB', 5, (x: X86Builder, v: Value, m: Value) => x.or(v, m)],
    ['BTR', 'B3', 6, (x: X86Builder, v: Value, m: Value) => x.and(v, x.not(m))],
    ['BTC', 'BB', 7, (x: X86Builder, v: Value, m: Value) => x.xor(v, m)],
  ] as const
).flatMap(([name, opcode, extension, change]) =>
  instruction({
    name,
    rows: [`0F ${opcode} /r | Ev,Gv`, `0F BA /${extension} | Ev,Ib`],
    lockable: change !== undefined,
    undefinedFlags: BIT_TEST_UNDEFINED,
    semantics: bitTest(change),
  }),
);

/** A source of zero sets ZF and leaves the destination (as AMD documents and Intel's processors do). */
const scan =
  (forward: boolean): Semantics =>
  (x, dst, src) => {
    const type = src.type as IntegerType;
    const value = src.get();
    const wide = type === 'i64' ? value : x.zext(value, 'i32');
    const top = WIDTH[wide.type] - 1;
    const found = forward ? x.op('ctz', [wide]) : x.sub(x.const(wide.type, top), x.op('clz', [wide]));
    const isZero = x.eq(value, 0);
    x.if(
      isZero,
      () => {},
      () => dst.set(x.trunc(found, type)),
    );
    // Besides ZF they are undefined: so the flags before need not be known.
    x.flags.logic(value);
  };
const SCAN_UNDEFINED = RFLAGS.CF | RFLAGS.OF | RFLAGS.SF | RFLAGS.AF | RFLAGS.PF;
const BSF = instruction({
  name: 'BSF',
  rows: ['0F BC /r | Gv,Ev'],
  undefinedFlags: SCAN_UNDEFINED,
  semantics: scan(true),
});
const BSR = instruction({
  name: 'BSR',
  rows: ['0F BD /r | Gv,Ev'],
  undefinedFlags: SCAN_UNDEFINED,
  semantics: scan(false),
});

const POPCNT = instruction({
  name: 'POPCNT',
  rows: ['F3 0F B8 /r | Gv,Ev'],
  semantics: (x, dst, src) => {
    const value = src.get();
    dst.set(x.op('popcnt', [value]));
    const no = x.const('i1', 0);
    x.flags.setAll({ cf: no, pf: no, af: no, zf: x.eq(value, 0), sf: no, of: no });
  },
});

export const BIT: readonly Encoding[] = [...bitTests, ...BSF, ...BSR, ...POPCNT];
