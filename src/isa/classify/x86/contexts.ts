/** The two modes of the theory on an x86 processor, as partly known states. */
import type { State } from '../../ir/types.ts';
import { WIDTH } from '../../ir/types.ts';
import { CR0_BITS, CR4_BITS, EFER_BITS } from '../../x86/control-bits.ts';
import { OTHER_FLAGS, RFLAGS, SYSTEM_FLAGS } from '../../x86/flags.ts';
import { RIGHTS } from '../../x86/procedures/segments.ts';
import { CODE_SIZE, CPL, CR0, CR4, EFER, FLAGS_OTHER, FLAGS_SYSTEM, REGISTERS, STACK_MASK } from '../../x86/state.ts';
import type { Context, Known } from '../model.ts';

export interface ContextOptions {
  readonly long: boolean;
  /** CR4.UMIP. */
  readonly umip: boolean;
}

const bits = (state: State, mask: bigint, value: bigint): Known => ({
  offset: state.offset,
  width: WIDTH[state.type],
  mask: BigInt.asUintN(WIDTH[state.type], mask),
  value: BigInt.asUintN(WIDTH[state.type], value),
});
const whole = (state: State, value: bigint): Known => bits(state, -1n, value);
const named = (name: string): State => REGISTERS.get(name)!;

/** Too small for the offset of a permission bitmap: every port is forbidden to levels above IOPL (SDM vol. 1 §19.5.2). */
const TSS_WITHOUT_BITMAP = 0x65n;

/** Protected mode with flat 32-bit or 64-bit code, not virtual-8086; sizes of code and stack are as for the whole program. */
function decodingMode(long: boolean): Known[] {
  const codeRights = BigInt(RIGHTS.L | RIGHTS.DB | RIGHTS.S | RIGHTS.code | RIGHTS.P | RIGHTS.unusable);
  const code = BigInt((long ? RIGHTS.L : RIGHTS.DB) | RIGHTS.S | RIGHTS.code | RIGHTS.P);
  const known = [
    whole(CODE_SIZE, long ? 64n : 32n),
    whole(STACK_MASK, long ? -1n : 0xffffffffn),
    bits(CR0, CR0_BITS.PE, CR0_BITS.PE),
    bits(EFER, EFER_BITS.LMA, long ? EFER_BITS.LMA : 0n),
    bits(FLAGS_SYSTEM, BigInt(~SYSTEM_FLAGS | RFLAGS.VM), 0n),
    bits(FLAGS_OTHER, BigInt(~OTHER_FLAGS), 0n),
    bits(named('CS.access'), codeRights, code),
  ];
  if (!long) known.push(bits(named('SS.access'), BigInt(RIGHTS.DB | RIGHTS.unusable), BigInt(RIGHTS.DB)));
  return known;
}

/** What a monitor sets so that as much as can be traps in user mode. */
function monitorSettings({ umip }: ContextOptions): Known[] {
  const { TSD, PCE, VME, PVI, UMIP } = CR4_BITS;
  return [
    bits(CR4, TSD | PCE | VME | PVI | UMIP, TSD | (umip ? UMIP : 0n)),
    whole(named('TR.limit'), TSS_WITHOUT_BITMAP),
  ];
}

/** CPL and its copies: the RPL of CS and SS, the DPL of SS (SDM vol. 3 §5.5). */
function level(n: bigint): Known[] {
  return [
    whole(CPL, n),
    bits(named('CS.selector'), 3n, n),
    bits(named('SS.selector'), 3n, n),
    bits(named('SS.access'), 3n << 5n, n << 5n),
  ];
}

/** User mode is CPL 3 with IOPL 0, supervisor mode CPL 0. */
export function contextsOf(options: ContextOptions): Readonly<Record<Context['name'], Context>> {
  const common = [...decodingMode(options.long), ...monitorSettings(options)];
  return {
    user: { name: 'user', known: [...common, ...level(3n), bits(FLAGS_SYSTEM, BigInt(RFLAGS.IOPL), 0n)] },
    supervisor: { name: 'supervisor', known: [...common, ...level(0n)] },
    any: { name: 'any', known: [...common, bits(CPL, ~3n, 0n)] },
  };
}

/** The modes of a guest in VMX non-root operation, whose kernel sets control state as it likes. */
export function nonRootContexts(long: boolean): Readonly<Record<'user' | 'supervisor', Context>> {
  const common = decodingMode(long);
  return {
    user: { name: 'user', known: [...common, ...level(3n)] },
    supervisor: { name: 'supervisor', known: [...common, ...level(0n)] },
  };
}
