/** What the comparison with the host's processor leaves out, and why. */
import type { Encoding } from '../../src/isa/x86/definition.ts';

const EXCLUDED: readonly { readonly names: readonly string[]; readonly reason: string }[] = [
  { names: ['RDTSC', 'RDTSCP', 'RDPMC', 'RDRAND', 'RDSEED'], reason: 'a result that differs at every execution' },
  { names: ['CPUID', 'XGETBV'], reason: 'tells what the host has' },
  { names: ['SYSCALL', 'SYSENTER', 'INT', 'INT1'], reason: 'enters the host kernel' },
  {
    names: ['SGDT', 'SIDT', 'SLDT', 'SMSW', 'STR', 'LAR', 'LSL', 'VERR', 'VERW', 'ARPL'],
    reason: "reads the host's descriptor tables, or is emulated by its kernel",
  },
  {
    names: [
      'RETF',
      'IRET',
      'LES',
      'LDS',
      'LSS',
      'LFS',
      'LGS',
      'MOV Sw',
      'POP ES',
      'POP SS',
      'POP DS',
      'POP FS',
      'POP GS',
    ],
    reason: "loads segments from the host's descriptor tables",
  },
  { names: ['WRFSBASE', 'WRGSBASE'], reason: 'a signal frame does not tell the result' },
  { names: ['XSAVE', 'XSAVE64', 'XRSTOR', 'XRSTOR64'], reason: 'a layout that depends on what the host has' },
  { names: ['MONITOR', 'MWAIT'], reason: 'allowed in user mode on some hosts' },
  {
    names: ['RCPPS', 'RCPSS', 'RSQRTPS', 'RSQRTSS'],
    reason: 'approximations: every processor has its own (see `approximations.test.ts`)',
  },
  {
    names: ['FSIN', 'FCOS', 'FSINCOS', 'FPTAN', 'FPATAN', 'F2XM1', 'FYL2X', 'FYL2XP1'],
    reason: 'approximations whose last bit differs between processors (see `approximations.test.ts`)',
  },
];

const reasons = new Map(EXCLUDED.flatMap(({ names, reason }) => names.map((name) => [name, reason] as const)));

/** Why the row is left out; undefined where it is not. */
export function exclusion(e: Encoding): string | undefined {
  const { name } = e.definition;
  if (/^(JMP|CALL)$/.test(name) && e.operands.some((o) => o === 'Ap' || o === 'M' || o === 'Mp'))
    return 'a far transfer';
  if (name === 'NOP' && e.opcode === 0x0d) return 'reserved: a NOP on Intel processors, #UD on AMD';
  return reasons.get(name) ?? reasons.get(`${name} ${e.operands[0] ?? ''}`);
}

const FAULTING = new Set([
  'HLT', 'IN', 'OUT', 'INS', 'OUTS', 'LMSW', 'CLTS', 'INVLPG', 'INVPCID', 'INVD', 'WBINVD', 'RDMSR', 'WRMSR', 'SYSRET', 'SYSEXIT', 'SWAPGS',
  'LGDT', 'LIDT', 'LLDT', 'LTR', 'XSETBV', 'CLI', 'STI', 'CLAC', 'STAC', 'UD0', 'UD1', 'UD2', 'INT3',
]); // biome-ignore format: a list

/** In user mode the instruction only faults: it is compared, but would end too many cases. */
export function alwaysFaults(e: Encoding): boolean {
  return FAULTING.has(e.definition.name);
}

/**
 * Bytes of a memory operand that processors fill differently: the pointers to the last x87 instruction, which AMD's keep only while an
 * exception is pending; and what FXSAVE leaves reserved.
 */
export const STORED_POINTERS: Readonly<Record<string, readonly (readonly [from: number, to: number])[]>> = {
  FXSAVE: [[6, 24], [28, 32]],
  FXSAVE64: [[6, 24], [28, 32]],
  FNSTENV: [[12, 28], [2, 4], [6, 8], [10, 12]],
  FNSAVE: [[12, 28], [2, 4], [6, 8], [10, 12]],
}; // biome-ignore format: a table

/** Where memory holds a state that the instruction takes; random bytes mostly fault. */
export const LOADED_STATE: Readonly<Record<string, number>> = { FXRSTOR: 0x200, FXRSTOR64: 0x200, LDMXCSR: 0x218 };
