/** What CPUID tells: what is there, and no more (SDM vol. 2, CPUID). */
import { CR4_BITS, PHYSICAL_BITS } from './control-bits.ts';

/** What depends on the machine and on the moment. */
export interface CpuidContext {
  readonly tscFrequency: number;
  readonly apicId: number;
  /** IA32_APIC_BASE has the local APIC on. */
  readonly apicEnabled: boolean;
  readonly cr4: bigint;
  readonly xcr0: bigint;
}
type Registers = readonly [eax: number, ebx: number, ecx: number, edx: number];

const bits = (...positions: number[]): number => positions.reduce((mask, n) => mask | (1 << n), 0);

const FEATURES_ECX = {
  SSE3: 0,
  SSSE3: 9,
  CMPXCHG16B: 13,
  PCID: 17,
  SSE41: 19,
  SSE42: 20,
  X2APIC: 21,
  POPCNT: 23,
  TSC_DEADLINE: 24,
  XSAVE: 26,
  OSXSAVE: 27,
  RDRAND: 30,
  HYPERVISOR: 31,
} as const;
const FEATURES_EDX = {
  FPU: 0,
  DE: 2,
  PSE: 3,
  TSC: 4,
  MSR: 5,
  PAE: 6,
  CX8: 8,
  APIC: 9,
  SEP: 11,
  PGE: 13,
  CMOV: 15,
  PAT: 16,
  PSE36: 17,
  CLFSH: 19,
  MMX: 23,
  FXSR: 24,
  SSE: 25,
  SSE2: 26,
} as const;
/** IA32_ARCH_CAPABILITIES is there. */
const STRUCTURED_EDX = { ARCH_CAPABILITIES: 29 } as const;
const STRUCTURED_EBX = {
  FSGSBASE: 0,
  TSC_ADJUST: 1,
  SMEP: 7,
  INVPCID: 10,
  FCS_FDS_DEPRECATED: 13,
  RDSEED: 18,
  SMAP: 20,
} as const;
const EXTENDED_ECX = { LAHF: 0 } as const;
const EXTENDED_EDX = { SYSCALL: 11, NX: 20, PDPE1GB: 26, RDTSCP: 27, LM: 29 } as const;

/** Family 6, model 15, stepping 11: the plainest processor of the level that compilers and kernels know. */
const SIGNATURE = 0x000006fb;
const VENDOR = 'GenuineIntel';
const HYPERVISOR = 'TrapezeTrape';
const BRAND = 'Trapeze virtual processor (x86-64-v2)';
const MAX_BASIC = 0x16;
const MAX_EXTENDED = 0x80000008;
const LINEAR_BITS = 48;
const CLFLUSH_LINES = 8;
/** x87 and SSE state: the legacy area and the header (SDM vol. 1 §13.4). */
const XSAVE_SIZE = 576;
const XSAVE_FEATURES = 3;

const text = (s: string, at: number): number =>
  [0, 1, 2, 3].reduce((n, i) => n | ((s.charCodeAt(at + i) || 0) << (i * 8)), 0);

function features({ apicId, apicEnabled, cr4 }: CpuidContext): Registers {
  const osxsave = (cr4 & CR4_BITS.OSXSAVE) !== 0n;
  const ecx = bits(...Object.values(FEATURES_ECX)) & ~(osxsave ? 0 : 1 << FEATURES_ECX.OSXSAVE);
  const edx = bits(...Object.values(FEATURES_EDX)) & ~(apicEnabled ? 0 : 1 << FEATURES_EDX.APIC);
  return [SIGNATURE, (apicId << 24) | (1 << 16) | (CLFLUSH_LINES << 8), ecx, edx];
}

function extendedState(subleaf: number): Registers {
  if (subleaf === 0) return [XSAVE_FEATURES, XSAVE_SIZE, XSAVE_SIZE, 0];
  return [0, 0, 0, 0];
}

function brand(leaf: number): Registers {
  const at = (leaf - 0x80000002) * 16;
  return [text(BRAND, at), text(BRAND, at + 4), text(BRAND, at + 8), text(BRAND, at + 12)];
}

function extended(leaf: number): Registers {
  switch (leaf) {
    case 0x80000000:
      return [MAX_EXTENDED | 0, 0, 0, 0];
    case 0x80000001:
      return [0, 0, bits(...Object.values(EXTENDED_ECX)), bits(...Object.values(EXTENDED_EDX))];
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
      return brand(leaf);
    case 0x80000007:
      // The time-stamp counter is invariant.
      return [0, 0, 0, 1 << 8];
    case 0x80000008:
      return [Number(PHYSICAL_BITS) | (LINEAR_BITS << 8), 0, 0, 0];
    default:
      return [0, 0, 0, 0];
  }
}

/** EAX, EBX, ECX, EDX for a leaf and subleaf. */
export function cpuidLeaf(leaf: number, subleaf: number, context: CpuidContext): Registers {
  if (leaf >= 0x80000000 && leaf <= MAX_EXTENDED) return extended(leaf);
  // Above the highest basic leaf Intel's processors answer as for that one.
  const basic = leaf >= 0x40000000 && leaf < 0x50000000 ? leaf : Math.min(leaf, MAX_BASIC);
  switch (basic) {
    case 0:
      return [MAX_BASIC, text(VENDOR, 0), text(VENDOR, 8), text(VENDOR, 4)];
    case 1:
      return features(context);
    case 4:
      return [0, 0, 0, 0];
    case 6:
      // The APIC timer runs always (ARAT).
      return [1 << 2, 0, 0, 0];
    case 7:
      return subleaf === 0
        ? [0, bits(...Object.values(STRUCTURED_EBX)), 0, bits(...Object.values(STRUCTURED_EDX))]
        : [0, 0, 0, 0];
    case 0xd:
      return extendedState(subleaf);
    case 0x40000000:
      return [0x40000000, text(HYPERVISOR, 0), text(HYPERVISOR, 4), text(HYPERVISOR, 8)];
    case 0x15:
      // The crystal runs at 1 GHz; the time-stamp counter at the ratio EBX / EAX of it.
      return [1000, context.tscFrequency / 1_000_000, 1_000_000_000, 0];
    case 0x16: {
      const megahertz = context.tscFrequency / 1_000_000;
      return [megahertz, megahertz, 100, 0];
    }
    default:
      return [0, 0, 0, 0];
  }
}
