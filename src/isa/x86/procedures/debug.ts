/** Debug exceptions: breakpoints of DR0–DR3, single-stepping, general detect (SDM vol. 3 chapter 18), and alignment checks. */
import type { Procedure, Value } from '../../ir/types.ts';
import { CR4_BITS } from '../control-bits.ts';
import { VECTOR } from '../exceptions.ts';
import { RFLAGS } from '../flags.ts';
import {
  BREAKPOINT,
  BREAKPOINTS,
  BREAKPOINTS_MET,
  CODE_SIZE,
  CR4,
  CS_AT,
  DEBUG_PENDING,
  DR0,
  DR1,
  DR2,
  DR3,
  DR6,
  DR7,
  FLAGS_OTHER,
  HELD,
  HELD_IP,
  RETIRED_LIMIT,
  RF_IP,
  RIP,
  TRAP_ARMED,
  WATCH,
  WATCHED,
} from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { isClear, isSet, modeChanged, segmentPart } from './segments.ts';

/** Bits of DR6. */
export const DR6_BITS = { BD: 1 << 13, BS: 1 << 14, BT: 1 << 15 } as const;
const MET = 0xfn;
/** General detect: MOV to and from debug registers faults. */
export const DR7_GD = 1n << 13n;
/** What a breakpoint's R/W field in DR7 asks for. */
const KIND = { execute: 0, write: 1, io: 2, readWrite: 3 } as const;
/** What HELD says. */
export const HOLD = { interrupts: 1, traps: 2 } as const;

const ADDRESSES = [DR0, DR1, DR2, DR3] as const;
interface Breakpoint {
  readonly address: Value;
  /** Bit in DR6. */
  readonly bit: number;
  readonly enabled: Value;
  readonly kind: Value;
  /** Bytes less one. */
  readonly mask: Value;
}
function breakpoint(x: X86Builder, n: number): Breakpoint {
  const control = x.trunc(x.get(DR7), 'i32');
  const length = x.and(x.shrU(control, 18 + n * 4), 3);
  // 00 one byte, 01 two, 10 eight, 11 four.
  const mask = x.select(x.eq(length, 2), x.const('i64', 7), x.zext(length, 'i64'));
  return {
    address: x.get(ADDRESSES[n]),
    bit: 1 << n,
    enabled: isSet(x, control, 3 << (n * 2)),
    kind: x.and(x.shrU(control, 16 + n * 4), 3),
    mask,
  };
}
/** Runs `body` for each of the four. */
const each = (x: X86Builder, body: (b: Breakpoint) => void): void => {
  for (let n = 0; n < 4; n++) body(breakpoint(x, n));
};
/** `bytes` bytes at `first` have one in common with the breakpoint's (SDM vol. 3 §18.2.5). */
function overlaps(x: X86Builder, b: Breakpoint, first: Value, bytes: Value): Value {
  const start = x.and(b.address, x.not(b.mask));
  const end = x.add(start, b.mask);
  return x.and(x.leU(first, end), x.leU(start, x.sub(x.add(first, x.zext(bytes, 'i64')), 1)));
}
const meet = (x: X86Builder, bit: number): void => x.set(BREAKPOINTS_MET, x.or(x.get(BREAKPOINTS_MET), bit));

/** DR7 or CR4.DE changed. */
export const updateBreakpoints: Procedure = x86Procedure(
  { name: 'updateBreakpoints', parameters: [], results: [] },
  (x) => {
    const found = x.variable(x.const('i32', 0));
    each(x, ({ enabled, kind }) => {
      // Without debug extensions the encoding for ports is undefined: nothing is watched.
      const io = x.select(isSet(x, x.get(CR4), CR4_BITS.DE), x.const('i32', BREAKPOINT.io), 0);
      const special = x.select(x.eq(kind, KIND.execute), x.const('i32', BREAKPOINT.code), io);
      const bits = x.select(isClear(x, kind, 1), special, x.const('i32', BREAKPOINT.data));
      x.if(enabled, () => found.set(x.or(found.get(), bits)));
    });
    x.set(BREAKPOINTS, found.get());
    // The engine goes on one instruction at a time, or no longer.
    x.set(RETIRED_LIMIT, 0);
    x.call(modeChanged);
    x.return();
  },
);

/** An access at the current privilege while something is watched: #AC(0), or breakpoints met. Linear address, bytes, 1 for a write. */
export const checkWatched: Procedure = x86Procedure(
  { name: 'checkWatched', parameters: ['i64', 'i32', 'i32'], results: [], mayFault: true },
  (x, linear, bytes, write) => {
    // Whether 16 bytes must be aligned is the processor's choice (SDM vol. 2, MOVUPS): here they need not.
    const misaligned = x.and(x.ltU(bytes, 16), isSet(x, x.and(x.trunc(linear, 'i32'), x.sub(bytes, 1)), 7));
    x.raiseIf(x.and(misaligned, isSet(x, x.get(WATCHED), WATCH.alignment)), VECTOR.AC, 0);
    x.if(isSet(x, x.get(WATCHED), WATCH.data), () => {
      each(x, (b) => {
        const wanted = x.or(x.eq(b.kind, KIND.readWrite), x.and(x.eq(b.kind, KIND.write), x.ne(write, 0)));
        x.if(x.and(x.and(b.enabled, wanted), overlaps(x, b, linear, bytes)), () => meet(x, b.bit));
      });
    });
    x.return();
  },
);

/** Ports are used while some are watched. Port, bytes. */
export const checkWatchedPorts: Procedure = x86Procedure(
  { name: 'checkWatchedPorts', parameters: ['i32', 'i32'], results: [] },
  (x, port, bytes) => {
    each(x, (b) => {
      const met = x.and(x.eq(b.kind, KIND.io), overlaps(x, b, x.zext(port, 'i64'), bytes));
      x.if(x.and(b.enabled, met), () => meet(x, b.bit));
    });
    x.return();
  },
);

/** Notes `bits` (`i32`) and what waits in DR6; of its bits 3:0 only those stay. */
export function noteDebug(x: X86Builder, bits: Value): void {
  const all = x.zext(x.or(bits, x.get(DEBUG_PENDING)), 'i64');
  x.set(DR6, x.or(x.and(x.get(DR6), ~MET), all));
  x.set(DEBUG_PENDING, 0);
}

/** #DB as a fault: before the instruction. */
export function raiseDebugFault(x: X86Builder, bits: Value): void {
  // A single-step trap that is held off is lost; breakpoints of data are not.
  x.set(DEBUG_PENDING, x.and(x.get(DEBUG_PENDING), Number(MET)));
  noteDebug(x, bits);
  x.raise(VECTOR.DB);
}

/** Before an instruction runs alone: #DB where its first byte is a breakpoint and RF does not say otherwise. */
export const beginStep: Procedure = x86Procedure(
  { name: 'beginStep', parameters: [], results: [], mayFault: true },
  (x) => {
    x.set(BREAKPOINTS_MET, 0);
    x.set(TRAP_ARMED, x.select(isSet(x, x.get(FLAGS_OTHER), RFLAGS.TF), x.const('i32', 1), 0));
    const held = x.and(x.eq(x.get(HELD), HOLD.traps), x.eq(x.get(HELD_IP), x.get(RIP)));
    x.set(HELD, 0);
    const resumes = x.and(isSet(x, x.get(FLAGS_OTHER), RFLAGS.RF), x.eq(x.get(RF_IP), x.get(RIP)));
    x.if(x.or(isClear(x, x.get(BREAKPOINTS), BREAKPOINT.code), x.or(held, resumes)), () => x.return());
    const legacy = x.and(x.add(segmentPart(x, CS_AT, 'base'), x.get(RIP)), 0xffffffffn);
    const linear = x.select(x.eq(x.get(CODE_SIZE), 64), x.get(RIP), legacy);
    const met = x.variable(x.const('i32', 0));
    each(x, (b) => {
      const hit = x.and(x.and(b.enabled, x.eq(b.kind, KIND.execute)), x.eq(b.address, linear));
      x.if(hit, () => met.set(x.or(met.get(), b.bit)));
    });
    x.if(x.ne(met.get(), 0), () => raiseDebugFault(x, met.get()));
    x.return();
  },
);

/** An instruction that ran alone is complete: what it met becomes a trap. Argument: where it stood. */
export const endStep: Procedure = x86Procedure({ name: 'endStep', parameters: ['i64'], results: [] }, (x, ip) => {
  const single = x.select(x.ne(x.get(TRAP_ARMED), 0), x.const('i32', DR6_BITS.BS), 0);
  x.set(DEBUG_PENDING, x.or(x.get(DEBUG_PENDING), x.or(single, x.get(BREAKPOINTS_MET))));
  x.set(BREAKPOINTS_MET, 0);
  x.set(TRAP_ARMED, 0);
  const other = x.get(FLAGS_OTHER);
  x.if(
    x.eq(x.get(RIP), ip),
    // Between iterations of a repeated instruction: its breakpoint was reported (SDM vol. 3 §18.3.1.1).
    () => {
      x.set(FLAGS_OTHER, x.or(other, RFLAGS.RF));
      x.set(RF_IP, ip);
    },
    () => x.if(x.ne(x.get(RF_IP), x.get(RIP)), () => x.set(FLAGS_OTHER, x.and(other, ~RFLAGS.RF))),
  );
  x.return();
});

/** RFLAGS for a frame or a TSS: RF is set only where the instruction at `ip` was returned to with it. */
export function savedFlags(x: X86Builder, ip: Value): Value {
  const image = x.flags.image();
  return x.select(x.eq(x.get(RF_IP), ip), image, x.and(image, ~RFLAGS.RF));
}
