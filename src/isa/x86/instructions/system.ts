/** System instructions (SDM vol. 1 §5.20) and what reads time, identity and randomness. */
import { type IntegerType, type Procedure, type Value, WIDTH } from '../../ir/types.ts';
import { CR0_BITS, CR4_BITS } from '../control-bits.ts';
import { type Encoding, instruction } from '../definition.ts';
import { VECTOR } from '../exceptions.ts';
import {
  cpuid,
  DROP,
  dropTranslations,
  entropy,
  portRead,
  portWrite,
  taskPriorityRead,
  taskPriorityWrite,
  timestamp,
} from '../externals.ts';
import { updateFpuBlocked } from '../procedures/checks.ts';
import { readMsr, writeCr0, writeCr3, writeCr4, writeMsr } from '../procedures/control-registers.ts';
import { DR6_BITS, DR7_GD, raiseDebugFault, updateBreakpoints } from '../procedures/debug.ts';
import { checkPort } from '../procedures/io.ts';
import { checkUmip, isSet } from '../procedures/segments.ts';
import {
  CPL,
  CR0,
  CR2,
  CR3,
  CR4,
  DEBUG,
  DR7,
  EXIT,
  FS_AT,
  GS_AT,
  KERNEL_GS_BASE,
  SEGMENT,
  SEGMENTS,
  TSC_ADJUST,
  TSC_AUX,
} from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { FAST_SYSTEM_CALLS } from './fast-system-call.ts';

const HLT = instruction({
  name: 'HLT',
  rows: ['F4'],
  endsBlock: true,
  semantics: (x) => {
    x.requireCpl0();
    x.exit(EXIT.halt);
  },
});

// --- ports ------------------------------------------------------------------------------------------------------------------------

/** Ports have at most 32 bits, whatever REX.W says. */
const portType = (operand: IntegerType): IntegerType => (operand === 'i64' ? 'i32' : operand);
const input = (x: X86Builder, operand: IntegerType, port: Value): void => {
  const type = portType(operand);
  const bytes = x.const('i32', WIDTH[type] / 8);
  x.call(checkPort, port, bytes);
  const [value] = x.call(portRead, port, bytes);
  x.setRegister(0, x.trunc(value, type));
};
const output = (x: X86Builder, operand: IntegerType, port: Value): void => {
  const type = portType(operand);
  const bytes = x.const('i32', WIDTH[type] / 8);
  x.call(checkPort, port, bytes);
  x.call(portWrite, port, bytes, x.zext(x.register(0, type), 'i32'));
};
const PORTS = [
  ...instruction({
    name: 'IN',
    rows: ['E4 | AL,Ib', 'E5 | zAX,Ib', 'EC | AL,DX', 'ED | zAX,DX'],
    endsBlock: true,
    semantics: (x, dst, port) => input(x, dst.type as IntegerType, x.zext(port.get(), 'i32')),
  }),
  ...instruction({
    name: 'OUT',
    rows: ['E6 | Ib,AL', 'E7 | Ib,zAX', 'EE | DX,AL', 'EF | DX,zAX'],
    endsBlock: true,
    semantics: (x, port, src) => output(x, src.type as IntegerType, x.zext(port.get(), 'i32')),
  }),
];

// --- control and debug registers --------------------------------------------------------------------------------------------------

const CONTROL_REGISTERS = [0, 2, 3, 4, 8] as const;
function readControl(x: X86Builder, n: (typeof CONTROL_REGISTERS)[number]): Value {
  if (n === 8) return x.call(taskPriorityRead)[0];
  return x.get({ 0: CR0, 2: CR2, 3: CR3, 4: CR4 }[n]);
}
function writeControl(x: X86Builder, n: (typeof CONTROL_REGISTERS)[number], value: Value): void {
  switch (n) {
    case 0:
      x.call(writeCr0, value);
      break;
    case 2:
      x.set(CR2, value);
      break;
    case 3:
      x.call(writeCr3, value);
      break;
    case 4:
      x.call(writeCr4, value);
      break;
    case 8:
      x.raiseIf(x.ne(x.and(value, ~0xfn), 0), VECTOR.GP, 0);
      x.call(taskPriorityWrite, value);
      break;
    default:
      n satisfies never;
  }
}
/** Runs the case of the register that the instruction names; #UD for others. */
function eachControl(x: X86Builder, number: Value, body: (n: (typeof CONTROL_REGISTERS)[number]) => void): void {
  const known = CONTROL_REGISTERS.filter((n) => n !== 8 || x.parameters.long);
  x.requireCpl0();
  const exists = known.map((n) => x.eq(number, n)).reduce((a, b) => x.or(a, b));
  x.raiseIf(x.xor(exists, x.const('i1', 1)), VECTOR.UD);
  for (const n of known) x.if(x.eq(number, n), () => body(n));
}

const DR6_FIXED = 0xffff0ff0n;
const DR7_FIXED = 0x400n;
/** Reports a MOV to or from a debug register while DR7.GD guards them. */
const detectGeneral: Procedure = x86Procedure(
  { name: 'detectGeneral', parameters: [], results: [], mayFault: true },
  (x) => raiseDebugFault(x, x.const('i32', DR6_BITS.BD)),
);
/** DR4 and DR5 are names of DR6 and DR7 unless CR4.DE (SDM vol. 3 §18.2.2). */
function debugRegister(x: X86Builder, number: Value): Value {
  x.requireCpl0();
  x.raiseIf(x.ltU(x.const('i32', 7), number), VECTOR.UD);
  const alias = x.eq(x.and(number, ~1), 4);
  x.raiseIf(x.and(alias, isSet(x, x.get(CR4), CR4_BITS.DE)), VECTOR.UD);
  x.if(isSet(x, x.get(DR7), DR7_GD), () => x.call(detectGeneral));
  return x.select(alias, x.add(number, 2), number);
}
const wide = (x: X86Builder): IntegerType => (x.parameters.long ? 'i64' : 'i32');

const CONTROL_MOVES = [
  ...instruction({
    name: 'MOV',
    rows: ['0F 20 /r | Rr,Cr'],
    semantics: (x, dst, src) => {
      eachControl(x, src.number(), (n) => dst.set(x.trunc(readControl(x, n), wide(x))));
    },
  }),
  ...instruction({
    name: 'MOV',
    rows: ['0F 22 /r | Cr,Rr'],
    endsBlock: true,
    semantics: (x, dst, src) => eachControl(x, dst.number(), (n) => writeControl(x, n, x.zext(src.get(), 'i64'))),
  }),
  ...instruction({
    name: 'MOV',
    rows: ['0F 21 /r | Rr,Dr'],
    semantics: (x, dst, src) => {
      const n = debugRegister(x, src.number());
      dst.set(x.trunc(x.getAt(DEBUG, x.shl(n, 3), 'i64'), wide(x)));
    },
  }),
  ...instruction({
    name: 'MOV',
    rows: ['0F 23 /r | Dr,Rr'],
    endsBlock: true,
    semantics: (x, dst, src) => {
      const n = debugRegister(x, dst.number());
      const value = x.zext(src.get(), 'i64');
      x.raiseIf(x.and(x.leU(x.const('i32', 6), n), x.ne(x.shrU(value, 32), 0)), VECTOR.GP, 0);
      const dr6 = x.or(x.and(value, 0xe00fn), DR6_FIXED);
      const dr7 = x.or(x.and(value, 0xffff2bffn), DR7_FIXED);
      x.setAt(DEBUG, x.shl(n, 3), x.select(x.eq(n, 6), dr6, x.select(x.eq(n, 7), dr7, value)));
      x.if(x.eq(n, 7), () => x.call(updateBreakpoints));
    },
  }),
  ...instruction({
    name: 'SMSW',
    rows: ['0F 01 /4 | Ev'],
    semantics: (x, dst) => {
      checkUmip(x);
      if (dst.memory) x.store(x.operandAddress(2, 'write'), x.trunc(x.get(CR0), 'i16'));
      else dst.set(x.trunc(x.get(CR0), dst.type as IntegerType));
    },
  }),
  ...instruction({
    name: 'LMSW',
    rows: ['0F 01 /6 | Ew'],
    endsBlock: true,
    semantics: (x, src) => {
      x.requireCpl0();
      // PE can be set but not cleared (SDM vol. 2, LMSW).
      const low = x.and(x.zext(src.get(), 'i64'), 0xf);
      const kept = x.or(x.and(x.get(CR0), ~0xen), low);
      x.call(writeCr0, kept);
    },
  }),
  ...instruction({
    name: 'CLTS',
    rows: ['0F 06'],
    endsBlock: true,
    semantics: (x) => {
      x.requireCpl0();
      x.set(CR0, x.and(x.get(CR0), ~CR0_BITS.TS));
      x.call(updateFpuBlocked);
    },
  }),
];

// --- translations and caches ------------------------------------------------------------------------------------------------------

const CACHES = [
  ...instruction({
    name: 'INVLPG',
    rows: ['0F 01 /7 | M'],
    endsBlock: true,
    semantics: (x) => {
      x.requireCpl0();
      const offset = x.effectiveAddress();
      const base = x.parameters.segmented ? x.getAt(SEGMENTS, x.segment(), 'i64') : x.const('i64', 0);
      x.call(dropTranslations, x.const('i32', DROP.page), x.add(base, offset));
    },
  }),
  ...instruction({
    name: 'INVPCID',
    rows: ['66 0F 38 82 /r | Gr,Mdq'],
    endsBlock: true,
    semantics: (x, type) => {
      x.requireCpl0();
      const kind = type.get();
      const pcid = x.load('i64', x.operandAddress(8, 'read'));
      const address = x.load('i64', x.operandAddress(8, 'read', 8));
      const usesPcid = x.ltU(kind, 2);
      const noPcids = x.xor(isSet(x, x.get(CR4), CR4_BITS.PCIDE), x.const('i1', 1));
      const badPcid = x.or(x.ne(x.and(pcid, ~0xfffn), 0), x.and(x.and(usesPcid, noPcids), x.ne(pcid, 0)));
      const badAddress = x.and(x.eq(kind, 0), x.xor(x.isCanonical(address), x.const('i1', 1)));
      x.raiseIf(x.or(x.ltU(x.const(kind.type, 3), kind), x.or(badPcid, badAddress)), VECTOR.GP, 0);
      const drop = (what: number, of: Value): void => {
        x.call(dropTranslations, x.const('i32', what), of);
      };
      x.if(
        x.eq(kind, 0),
        () => drop(DROP.page, address),
        () =>
          x.if(
            x.eq(kind, 1),
            () => drop(DROP.space, pcid),
            () => drop(DROP.all, x.const('i64', 0)),
          ),
      );
    },
  }),
  ...instruction({ name: 'INVD', rows: ['0F 08'], semantics: (x) => x.requireCpl0() }),
  ...instruction({ name: 'WBINVD', rows: ['0F 09'], semantics: (x) => x.requireCpl0() }),
];

// --- model-specific registers, time, identity, randomness -------------------------------------------------------------------------

/** EDX:EAX. */
const pair = (x: X86Builder): Value =>
  x.or(x.zext(x.register(0, 'i32'), 'i64'), x.shl(x.zext(x.register(2, 'i32'), 'i64'), 32));
const setPair = (x: X86Builder, value: Value): void => {
  x.setRegister(0, x.trunc(value, 'i32'));
  x.setRegister(2, x.trunc(x.shrU(value, 32), 'i32'));
};
/** CR4.TSD keeps RDTSC from levels above 0. */
function readTime(x: X86Builder): Value {
  const restricted = x.and(isSet(x, x.get(CR4), CR4_BITS.TSD), x.ne(x.get(CPL), 0));
  x.raiseIf(restricted, VECTOR.GP, 0);
  return x.add(x.call(timestamp)[0], x.get(TSC_ADJUST));
}
const random = (name: string, extension: number): readonly Encoding[] =>
  instruction({
    name,
    rows: [`NFx 0F C7 /${extension} | Rv`],
    endsBlock: true,
    semantics: (x, dst) => {
      const [bits] = x.call(entropy);
      dst.set(x.trunc(bits, dst.type as IntegerType));
      const no = x.const('i1', 0);
      x.flags.setAll({ cf: x.const('i1', 1), pf: no, af: no, zf: no, sf: no, of: no });
    },
  });
const REGISTERS = [
  ...instruction({
    name: 'RDMSR',
    rows: ['0F 32'],
    endsBlock: true,
    semantics: (x) => {
      x.requireCpl0();
      const [value] = x.call(readMsr, x.register(1, 'i32'));
      setPair(x, value);
    },
  }),
  ...instruction({
    name: 'WRMSR',
    rows: ['0F 30'],
    endsBlock: true,
    semantics: (x) => {
      x.requireCpl0();
      x.call(writeMsr, x.register(1, 'i32'), pair(x));
    },
  }),
  ...instruction({ name: 'RDTSC', rows: ['0F 31'], semantics: (x) => setPair(x, readTime(x)) }),
  ...instruction({
    name: 'RDTSCP',
    rows: ['0F 01 F9'],
    semantics: (x) => {
      const time = readTime(x);
      setPair(x, time);
      x.setRegister(1, x.trunc(x.get(TSC_AUX), 'i32'));
    },
  }),
  // No performance counters are offered: every index is wrong.
  ...instruction({ name: 'RDPMC', rows: ['0F 33'], semantics: (x) => x.raise(VECTOR.GP, 0) }),
  ...instruction({
    name: 'CPUID',
    rows: ['0F A2'],
    semantics: (x) => {
      const values = x.call(cpuid, x.register(0, 'i32'), x.register(1, 'i32'));
      for (const [i, n] of [0, 3, 1, 2].entries()) x.setRegister(n, values[i]);
    },
  }),
  ...random('RDRAND', 6),
  ...random('RDSEED', 7),
];

// --- FS and GS bases --------------------------------------------------------------------------------------------------------------

const baseMove = (name: string, extension: number, at: number, write: boolean): readonly Encoding[] =>
  instruction({
    name,
    rows: [`F3 0F AE /${extension} | Ry | o64`],
    semantics: (x, operand) => {
      x.raiseIf(x.eq(x.and(x.get(CR4), CR4_BITS.FSGSBASE), 0), VECTOR.UD);
      const place = x.const('i32', at + SEGMENT.base);
      if (!write) {
        operand.set(x.trunc(x.getAt(SEGMENTS, place, 'i64'), operand.type as IntegerType));
        return;
      }
      const value = x.zext(operand.get(), 'i64');
      x.checkCanonical(value);
      x.setAt(SEGMENTS, place, value);
    },
  });
const BASES = [
  ...instruction({
    name: 'SWAPGS',
    rows: ['0F 01 F8 | | o64'],
    semantics: (x) => {
      x.requireCpl0();
      const place = x.const('i32', GS_AT + SEGMENT.base);
      const base = x.getAt(SEGMENTS, place, 'i64');
      const other = x.get(KERNEL_GS_BASE);
      x.setAt(SEGMENTS, place, other);
      x.set(KERNEL_GS_BASE, base);
    },
  }),
  ...baseMove('RDFSBASE', 0, FS_AT, false),
  ...baseMove('RDGSBASE', 1, GS_AT, false),
  ...baseMove('WRFSBASE', 2, FS_AT, true),
  ...baseMove('WRGSBASE', 3, GS_AT, true),
];

export const SYSTEM: readonly Encoding[] = [
  ...HLT,
  ...PORTS,
  ...CONTROL_MOVES,
  ...CACHES,
  ...REGISTERS,
  ...FAST_SYSTEM_CALLS,
  ...BASES,
];
