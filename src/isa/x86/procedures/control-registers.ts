/** Control registers and model-specific registers: what may be written, and what follows (SDM vol. 3 §2.5, §2.2.1). */
import type { Procedure, State, Value } from '../../ir/types.ts';
import { CR0_BITS, CR4_BITS, EFER_BITS, PHYSICAL_BITS } from '../control-bits.ts';
import { VECTOR } from '../exceptions.ts';
import { DROP, dropTranslations, msrRead, msrWrite, timestamp } from '../externals.ts';
import {
  CR0,
  CR3,
  CR4,
  CS_AT,
  CSTAR,
  EFER,
  FMASK,
  FS_AT,
  GS_AT,
  KERNEL_GS_BASE,
  LSTAR,
  MISC_ENABLE,
  PAT,
  SEGMENT,
  SEGMENTS,
  STAR,
  SYSENTER_CS,
  SYSENTER_EIP,
  SYSENTER_ESP,
  TR_AT,
  TSC_ADJUST,
  TSC_AUX,
} from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { updateFpuBlocked } from './checks.ts';
import { updateBreakpoints } from './debug.ts';
import { loadPdptes, usesPae } from './paging.ts';
import { isClear, isSet, levelChanged, modeChanged, RIGHTS, segmentPart } from './segments.ts';

const bitsOf = (bits: Readonly<Record<string, bigint>>): bigint => Object.values(bits).reduce((a, b) => a | b, 0n);
const CR0_WRITABLE = bitsOf(CR0_BITS);
/** VME, PVI and UMIP are not offered. */
const CR4_WRITABLE = bitsOf(CR4_BITS) & ~(CR4_BITS.VME | CR4_BITS.PVI | CR4_BITS.UMIP);
const EFER_WRITABLE = EFER_BITS.SCE | EFER_BITS.LME | EFER_BITS.NXE;
const RESERVED_CR3 = ((1n << 64n) - 1n) & ~((1n << PHYSICAL_BITS) - 1n);
const CR3_NO_FLUSH = 1n << 63n;

const not = (x: X86Builder, v: Value): Value => x.xor(v, x.const('i1', 1));
const dropAll = (x: X86Builder): void => {
  x.call(dropTranslations, x.const('i32', DROP.all), x.const('i64', 0));
};
/** Everything that caches a mode is brought up to date. */
const afterChange = (x: X86Builder): void => {
  dropAll(x);
  x.call(updateFpuBlocked);
  x.call(updateBreakpoints);
};

/** #GP(0) where the PDPTEs at `cr3` have reserved bits; else they are loaded. */
const requirePdptes = (x: X86Builder, cr3: Value): void => x.raiseIf(not(x, x.call(loadPdptes, cr3)[0]), VECTOR.GP, 0);

export const writeCr0: Procedure = x86Procedure(
  { name: 'writeCr0', parameters: ['i64'], results: [], mayFault: true },
  (x, value) => {
    const has = (bit: bigint): Value => isSet(x, value, bit);
    const fails = x.or(
      x.and(has(CR0_BITS.PG), not(x, has(CR0_BITS.PE))),
      x.and(has(CR0_BITS.NW), not(x, has(CR0_BITS.CD))),
    );
    x.raiseIf(x.or(fails, x.ne(x.shrU(value, 32), 0)), VECTOR.GP, 0);
    const turnsOn = x.and(has(CR0_BITS.PG), not(x, isSet(x, x.get(CR0), CR0_BITS.PG)));
    const turnsOff = x.and(not(x, has(CR0_BITS.PG)), isSet(x, x.get(CR0), CR0_BITS.PG));
    const pcid = isSet(x, x.get(CR4), CR4_BITS.PCIDE);
    const in64Bit = x.and(isSet(x, x.get(EFER), EFER_BITS.LMA), isSet(x, segmentPart(x, CS_AT, 'access'), RIGHTS.L));
    x.raiseIf(x.and(turnsOff, x.or(pcid, in64Bit)), VECTOR.GP, 0);
    const turnsLong = x.and(turnsOn, isSet(x, x.get(EFER), EFER_BITS.LME));
    const pae = isSet(x, x.get(CR4), CR4_BITS.PAE);
    x.if(turnsLong, () => {
      // Neither 64-bit code nor a 16-bit TSS may be there already (SDM vol. 3 §10.8.5).
      const narrowTask = isClear(x, segmentPart(x, TR_AT, 'access'), 8);
      x.raiseIf(x.or(not(x, pae), isSet(x, segmentPart(x, CS_AT, 'access'), RIGHTS.L)), VECTOR.GP, 0);
      x.raiseIf(narrowTask, VECTOR.GP, 0);
      x.set(EFER, x.or(x.get(EFER), EFER_BITS.LMA));
    });
    const reloads = x.ne(x.and(x.xor(value, x.get(CR0)), CR0_BITS.PG | CR0_BITS.CD | CR0_BITS.NW), 0);
    const legacyPae = x.and(x.and(pae, has(CR0_BITS.PG)), not(x, isSet(x, x.get(EFER), EFER_BITS.LMA)));
    x.if(x.and(reloads, legacyPae), () => requirePdptes(x, x.get(CR3)));
    x.if(turnsOff, () => x.set(EFER, x.and(x.get(EFER), ~EFER_BITS.LMA)));
    const flushes = x.ne(x.and(x.xor(value, x.get(CR0)), CR0_BITS.PG | CR0_BITS.WP | CR0_BITS.PE), 0);
    x.set(CR0, x.or(x.and(value, CR0_WRITABLE), CR0_BITS.ET));
    x.if(flushes, () => dropAll(x));
    x.call(updateFpuBlocked);
    x.call(modeChanged);
    x.return();
  },
);

export const writeCr3: Procedure = x86Procedure(
  { name: 'writeCr3', parameters: ['i64'], results: [], mayFault: true },
  (x, value) => {
    const pcid = isSet(x, x.get(CR4), CR4_BITS.PCIDE);
    const plain = x.select(pcid, x.and(value, ~CR3_NO_FLUSH), value);
    x.raiseIf(x.ne(x.and(plain, RESERVED_CR3), 0), VECTOR.GP, 0);
    x.if(usesPae(x), () => requirePdptes(x, plain));
    x.set(CR3, plain);
    const space = x.select(pcid, x.and(value, CR3_NO_FLUSH | 0xfffn), 0n);
    x.call(dropTranslations, x.const('i32', DROP.enter), space);
    x.call(levelChanged);
    x.return();
  },
);

export const writeCr4: Procedure = x86Procedure(
  { name: 'writeCr4', parameters: ['i64'], results: [], mayFault: true },
  (x, value) => {
    const has = (bit: bigint): Value => isSet(x, value, bit);
    x.raiseIf(x.ne(x.and(value, ((1n << 64n) - 1n) & ~CR4_WRITABLE), 0), VECTOR.GP, 0);
    const long = isSet(x, x.get(EFER), EFER_BITS.LMA);
    x.raiseIf(x.and(long, not(x, has(CR4_BITS.PAE))), VECTOR.GP, 0);
    const enablesPcid = x.and(has(CR4_BITS.PCIDE), not(x, isSet(x, x.get(CR4), CR4_BITS.PCIDE)));
    x.raiseIf(x.and(enablesPcid, x.or(not(x, long), x.ne(x.and(x.get(CR3), 0xfff), 0))), VECTOR.GP, 0);
    const paging = CR4_BITS.PAE | CR4_BITS.PGE | CR4_BITS.PSE | CR4_BITS.SMEP;
    const reloads = x.and(x.ne(x.and(x.xor(value, x.get(CR4)), paging), 0), has(CR4_BITS.PAE));
    const legacy = x.and(isSet(x, x.get(CR0), CR0_BITS.PG), not(x, long));
    x.if(x.and(reloads, legacy), () => requirePdptes(x, x.get(CR3)));
    x.set(CR4, value);
    afterChange(x);
    x.return();
  },
);

const writeEfer: Procedure = x86Procedure(
  { name: 'writeEfer', parameters: ['i64'], results: [], mayFault: true },
  (x, value) => {
    x.raiseIf(x.ne(x.and(value, ~(EFER_WRITABLE | EFER_BITS.LMA)), 0), VECTOR.GP, 0);
    const changesLme = x.ne(x.and(x.xor(value, x.get(EFER)), EFER_BITS.LME), 0);
    x.raiseIf(x.and(changesLme, isSet(x, x.get(CR0), CR0_BITS.PG)), VECTOR.GP, 0);
    x.set(EFER, x.or(x.and(value, EFER_WRITABLE), x.and(x.get(EFER), EFER_BITS.LMA)));
    afterChange(x);
    x.return();
  },
);

type Rule = 'any' | 'canonical' | 'low32' | 'pat' | 'miscEnable';
interface CoreMsr {
  readonly index: number;
  readonly state: State;
  readonly rule: Rule;
}
/** Registers that are state of the core (SDM vol. 4 chapter 2). */
const CORE_MSRS: readonly CoreMsr[] = [
  { index: 0x3b, state: TSC_ADJUST, rule: 'any' },
  { index: 0x174, state: SYSENTER_CS, rule: 'any' },
  { index: 0x175, state: SYSENTER_ESP, rule: 'canonical' },
  { index: 0x176, state: SYSENTER_EIP, rule: 'canonical' },
  { index: 0x1a0, state: MISC_ENABLE, rule: 'miscEnable' },
  { index: 0x277, state: PAT, rule: 'pat' },
  { index: 0xc0000081, state: STAR, rule: 'any' },
  { index: 0xc0000082, state: LSTAR, rule: 'canonical' },
  { index: 0xc0000083, state: CSTAR, rule: 'canonical' },
  { index: 0xc0000084, state: FMASK, rule: 'low32' },
  { index: 0xc0000102, state: KERNEL_GS_BASE, rule: 'canonical' },
  { index: 0xc0000103, state: TSC_AUX, rule: 'low32' },
];
/**
 * Bits of IA32_MISC_ENABLE that keep what firmware writes: fast strings, thermal control, SpeedStep, MONITOR, limit of CPUID, xTPR, no XD.
 * What they would switch off is either not there or stays on.
 */
const MISC_ENABLE_WRITABLE = [0, 3, 16, 18, 22, 23, 34].reduce((mask, n) => mask | (1n << BigInt(n)), 0n);
const EFER_INDEX = 0xc0000080;
const TSC_INDEX = 0x10;
const ARCH_CAPABILITIES_INDEX = 0x10a;
/**
 * RDCL_NO, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, PBRSB_NO, GDS_NO, RFDS_NO:
 * an interpreter does not execute ahead, so guests need no defence (SDM vol. 4 table 2-2).
 */
const ARCH_CAPABILITIES = [0, 3, 4, 5, 6, 8, 13, 14, 15, 24, 26, 27].reduce((mask, n) => mask | (1n << BigInt(n)), 0n);
/** FS.base and GS.base by index. */
const BASES = [
  [0xc0000100, FS_AT],
  [0xc0000101, GS_AT],
] as const;

/** Memory types in IA32_PAT: 0, 1, 4, 5, 6, 7 in each byte. */
function checkPat(x: X86Builder, value: Value): void {
  for (let i = 0; i < 8; i++) {
    const type = x.and(x.shrU(value, i * 8), 0xff);
    x.raiseIf(x.or(x.ltU(x.const('i64', 7), type), x.eq(x.and(type, 6), 2)), VECTOR.GP, 0);
  }
}
function writeCoreMsr(x: X86Builder, { state, rule }: CoreMsr, value: Value): void {
  switch (rule) {
    case 'canonical':
      x.checkCanonical(value);
      break;
    case 'low32':
      x.raiseIf(x.ne(x.shrU(value, 32), 0), VECTOR.GP, 0);
      break;
    case 'pat':
      checkPat(x, value);
      break;
    case 'miscEnable':
      x.set(state, x.or(x.and(value, MISC_ENABLE_WRITABLE), x.and(x.get(state), ~MISC_ENABLE_WRITABLE)));
      x.return();
      return;
    case 'any':
      break;
    default:
      rule satisfies never;
  }
  x.set(state, value);
  x.return();
}

/** Index → value; #GP(0) where there is no such register. */
export const readMsr: Procedure = x86Procedure(
  { name: 'readMsr', parameters: ['i32'], results: ['i64'], mayFault: true },
  (x, index) => {
    for (const msr of CORE_MSRS) x.if(x.eq(index, msr.index), () => x.return(x.get(msr.state)));
    for (const [n, at] of BASES) x.if(x.eq(index, n), () => x.return(segmentPart(x, at, 'base')));
    x.if(x.eq(index, EFER_INDEX), () => x.return(x.get(EFER)));
    x.if(x.eq(index, ARCH_CAPABILITIES_INDEX), () => x.return(x.const('i64', ARCH_CAPABILITIES)));
    x.if(x.eq(index, TSC_INDEX), () => x.return(x.add(x.call(timestamp)[0], x.get(TSC_ADJUST))));
    const [value, exists] = x.call(msrRead, index);
    x.raiseIf(x.eq(exists, 0), VECTOR.GP, 0);
    x.return(value);
  },
);

/** Index, value; #GP(0) where the register does not exist or does not take the value. */
export const writeMsr: Procedure = x86Procedure(
  { name: 'writeMsr', parameters: ['i32', 'i64'], results: [], mayFault: true },
  (x, index, value) => {
    for (const msr of CORE_MSRS) x.if(x.eq(index, msr.index), () => writeCoreMsr(x, msr, value));
    for (const [n, at] of BASES) {
      x.if(x.eq(index, n), () => {
        x.checkCanonical(value);
        x.setAt(SEGMENTS, x.const('i32', at + SEGMENT.base), value);
        x.return();
      });
    }
    x.if(x.eq(index, EFER_INDEX), () => {
      x.call(writeEfer, value);
      x.return();
    });
    x.if(x.eq(index, TSC_INDEX), () => {
      x.set(TSC_ADJUST, x.sub(value, x.call(timestamp)[0]));
      x.return();
    });
    const [taken] = x.call(msrWrite, index, value);
    x.raiseIf(x.eq(taken, 0), VECTOR.GP, 0);
    x.return();
  },
);
