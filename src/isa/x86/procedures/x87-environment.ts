/** The x87 environment and registers in memory: FLDENV, FNSTENV, FNSAVE, FRSTOR (SDM vol. 1 §8.1.10, figures 8-9 to 8-12). */
import type { IrBuilder } from '../../ir/builder.ts';
import type { IntegerType, Value } from '../../ir/types.ts';
import { CR0_BITS } from '../control-bits.ts';
import { RFLAGS } from '../flags.ts';
import { CR0, FCS, FCW, FDP, FDS, FIP, FLAGS_SYSTEM, FOP, FSW, FTOP, FTW, X87 } from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { CLASS, floatClassify, floatProcedure, has } from './softfloat-format.ts';
import { FSW_BITS, physical, readStack } from './x87-stack.ts';

const TOP_AT = 11;
const TOP = 7 << TOP_AT;
const EXCEPTIONS = 0x3f;
const SUMMARY = FSW_BITS.ES | FSW_BITS.B;
const FOP_BITS = 0x7ff;
const FCW_INITIAL = 0x37f;
/** The bits that exist; bit 6 reads as one. */
const FCW_WRITABLE = 0x1f3f;
const FCW_ALWAYS = 0x40;
const TAG = { valid: 0, zero: 1, special: 2, empty: 3 } as const;
const REGISTER_BYTES = 10;

/** The status word with TOP, `i32`. */
export const statusWord = (b: IrBuilder): Value => b.or(b.zext(b.get(FSW), 'i32'), b.shl(b.get(FTOP), TOP_AT));

/** ES and B follow the exceptions and their masks. */
const updateSummary = floatProcedure('x87.updateSummary', [], [], (b) => {
  const pending = b.and(b.and(b.get(FSW), b.not(b.get(FCW))), EXCEPTIONS);
  const summary = b.select(b.ne(pending, 0), b.const('i16', SUMMARY), 0);
  b.set(FSW, b.or(b.and(b.get(FSW), 0xffff & ~SUMMARY), summary));
  b.return();
});

/** Loads the control word (`i16`); an exception that it unmasks becomes pending. */
export function setControlWord(b: IrBuilder, value: Value): void {
  b.set(FCW, b.or(b.and(value, FCW_WRITABLE), FCW_ALWAYS));
  b.call(updateSummary);
}

/** FNINIT. */
export const x87Initialise = floatProcedure('x87.initialise', [], [], (b) => {
  b.set(FCW, FCW_INITIAL);
  for (const state of [FSW, FTOP, FTW, FOP, FIP, FDP, FCS, FDS]) b.set(state, 0);
  b.return();
});

/** Two bits for each physical register, `i32`. */
const fullTagWord = floatProcedure('x87.tagWord', [], ['i32'], (b) => {
  const tags = b.variable(b.const('i32', 0));
  const register = b.variable(b.const('i32', 7));
  b.loop(() => {
    const at = b.shl(register.get(), 4);
    const se = b.zext(b.getAt(X87, b.add(at, 8), 'i16'), 'i32');
    const [kind] = b.call(floatClassify, se, b.getAt(X87, at, 'i64'));
    const special = b.select(b.eq(kind, 0), b.const('i32', TAG.valid), TAG.special);
    const inUse = b.select(has(b, kind, CLASS.zero), b.const('i32', TAG.zero), special);
    const used = b.ne(b.and(b.shrU(b.zext(b.get(FTW), 'i32'), register.get()), 1), 0);
    tags.set(b.or(b.shl(tags.get(), 2), b.select(used, inUse, TAG.empty)));
    b.breakIf(b.eq(register.get(), 0));
    register.set(b.sub(register.get(), 1));
  });
  b.return(tags.get());
});

/** The abridged tag of a full one. */
function abridged(b: IrBuilder, tags: Value): Value {
  const used = Array.from({ length: 8 }, (_, i) => {
    const empty = b.eq(b.and(b.shrU(tags, 2 * i), 3), TAG.empty);
    return b.select(empty, b.const('i32', 0), 1 << i);
  });
  return b.trunc(
    used.reduce((a, c) => b.or(a, c)),
    'i8',
  );
}

/** Real-address and virtual-8086 mode have formats of their own. */
function usesRealFormat(b: IrBuilder): Value {
  const real = b.eq(b.and(b.get(CR0), CR0_BITS.PE), 0);
  return b.or(real, b.ne(b.and(b.get(FLAGS_SYSTEM), RFLAGS.VM), 0));
}

/** The four words of pointers, each 16 or 32 bits wide: offsets and what stands behind them. */
interface Pointers {
  readonly ip: Value;
  readonly ipRest: Value;
  readonly dp: Value;
  readonly dpRest: Value;
}

function pointersToStore(b: IrBuilder): Pointers {
  const real = usesRealFormat(b);
  const [fip, fdp] = [b.trunc(b.get(FIP), 'i32'), b.trunc(b.get(FDP), 'i32')];
  const opcode = b.and(b.zext(b.get(FOP), 'i32'), FOP_BITS);
  const upper = (v: Value): Value => b.shl(b.shrU(v, 16), 12);
  return {
    ip: b.select(real, b.and(fip, 0xffff), fip),
    ipRest: b.select(real, b.or(upper(fip), opcode), b.or(b.zext(b.get(FCS), 'i32'), b.shl(opcode, 16))),
    dp: b.select(real, b.and(fdp, 0xffff), fdp),
    dpRest: b.select(real, upper(fdp), b.or(b.zext(b.get(FDS), 'i32'), 0xffff0000)),
  };
}

function storeFields(x: X86Builder, address: Value, type: 'i16' | 'i32'): void {
  const p = pointersToStore(x);
  const [tags] = x.call(fullTagWord);
  // The upper halves of the 32-bit format's words are ones.
  const words = [x.zext(x.get(FCW), 'i32'), statusWord(x), tags].map((v) => x.or(v, 0xffff0000));
  for (const [i, value] of [...words, p.ip, p.ipRest, p.dp, p.dpRest].entries()) {
    x.store(x.add(address, i * (type === 'i16' ? 2 : 4)), x.trunc(value, type));
  }
}

/** Linear address; 1 for the 32-bit format. Exceptions are masked afterwards. */
export const x87StoreEnvironment = x86Procedure(
  { name: 'x87.storeEnvironment', parameters: ['i64', 'i32'], results: [], mayFault: true },
  (x, address, wide) => {
    x.if(
      x.ne(wide, 0),
      () => storeFields(x, address, 'i32'),
      () => storeFields(x, address, 'i16'),
    );
    x.set(FCW, x.or(x.get(FCW), EXCEPTIONS));
    x.call(updateSummary);
    x.return();
  },
);

interface Loaded extends Pointers {
  readonly control: Value;
  readonly status: Value;
  readonly tags: Value;
}

/** Reads all of an environment, as `i32` values, before anything is written. */
function loadFields(x: X86Builder, address: Value, wide: Value): Loaded {
  const fields = Array.from({ length: 7 }, () => x.variable(x.const('i32', 0)));
  const read = (type: IntegerType, bytes: number): void => {
    for (const [i, field] of fields.entries()) {
      field.set(x.zext(x.load(type, x.add(address, i * bytes)), 'i32'));
    }
  };
  x.if(
    x.ne(wide, 0),
    () => read('i32', 4),
    () => read('i16', 2),
  );
  const [control, status, tags, ip, ipRest, dp, dpRest] = fields.map((f) => f.get());
  return { control, status, tags, ip, ipRest, dp, dpRest };
}

function takeEnvironment(x: X86Builder, loaded: Loaded): void {
  const real = usesRealFormat(x);
  const lower = (v: Value): Value => x.shl(x.and(x.shrU(v, 12), 0xffff), 16);
  const joined = (offset: Value, rest: Value): Value =>
    x.zext(x.select(real, x.or(x.and(offset, 0xffff), lower(rest)), offset), 'i64');
  x.set(FIP, joined(loaded.ip, loaded.ipRest));
  x.set(FDP, joined(loaded.dp, loaded.dpRest));
  const opcode = x.select(real, loaded.ipRest, x.shrU(loaded.ipRest, 16));
  x.set(FOP, x.and(x.trunc(opcode, 'i16'), FOP_BITS));
  // The selectors are not kept, as CPUID says (leaf 7, EBX bit 13).
  x.set(FCS, 0);
  x.set(FDS, 0);
  x.set(FSW, x.and(x.trunc(loaded.status, 'i16'), 0xffff & ~TOP));
  x.set(FTOP, x.and(x.shrU(loaded.status, TOP_AT), 7));
  x.set(FTW, abridged(x, loaded.tags));
  setControlWord(x, x.trunc(loaded.control, 'i16'));
}

/** Linear address; 1 for the 32-bit format. */
export const x87LoadEnvironment = x86Procedure(
  { name: 'x87.loadEnvironment', parameters: ['i64', 'i32'], results: [], mayFault: true },
  (x, address, wide) => {
    takeEnvironment(x, loadFields(x, address, wide));
    x.return();
  },
);

const registersAt = (x: X86Builder, address: Value, wide: Value): Value =>
  x.add(address, x.select(x.ne(wide, 0), x.const('i64', 28), 14));

/** FNSAVE: environment and registers, ST(0) first; then FNINIT. */
export const x87Save = x86Procedure(
  { name: 'x87.save', parameters: ['i64', 'i32'], results: [], mayFault: true },
  (x, address, wide) => {
    const registers = registersAt(x, address, wide);
    for (let i = 0; i < 8; i++) {
      const { se, significand } = readStack(x, i);
      x.store(x.add(registers, i * REGISTER_BYTES), significand);
      x.store(x.add(registers, i * REGISTER_BYTES + 8), x.trunc(se, 'i16'));
    }
    x.call(x87StoreEnvironment, address, wide);
    x.call(x87Initialise);
    x.return();
  },
);

/** FRSTOR. */
export const x87Restore = x86Procedure(
  { name: 'x87.restore', parameters: ['i64', 'i32'], results: [], mayFault: true },
  (x, address, wide) => {
    const registers = registersAt(x, address, wide);
    const values = Array.from({ length: 8 }, (_, i) => {
      const at = x.add(registers, i * REGISTER_BYTES);
      return { significand: x.load('i64', at), se: x.load('i16', x.add(at, 8)) };
    });
    takeEnvironment(x, loadFields(x, address, wide));
    for (const [i, { se, significand }] of values.entries()) {
      const at = x.shl(physical(x, i), 4);
      x.setAt(X87, at, significand);
      x.setAt(X87, x.add(at, 8), se);
    }
    x.return();
  },
);
