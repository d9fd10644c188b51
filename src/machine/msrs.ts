/** Model-specific registers that software expects of a platform and that neither the core nor the local APIC has. */
import type { Stateful, StateTransfer } from '../devices/state.ts';
import type { MsrSpace } from '../engine/engine.ts';

const IA32_PLATFORM_ID = 0x17;
const IA32_FEATURE_CONTROL = 0x3a;
const IA32_BIOS_UPDT_TRIG = 0x79;
const IA32_BIOS_SIGN_ID = 0x8b;
const IA32_MTRRCAP = 0xfe;
const IA32_MCG_CAP = 0x179;
const IA32_MCG_STATUS = 0x17a;
const IA32_MTRR_PHYSBASE0 = 0x200;
const IA32_MTRR_FIXED = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f] as const;
const IA32_MTRR_DEF_TYPE = 0x2ff;

const VARIABLE_MTRRS = 8;
/** WC, fixed ranges, eight variable ranges (SDM vol. 3 §12.11.1). */
const MTRRCAP_VALUE = 0x500n | BigInt(VARIABLE_MTRRS);
const ALL_WRITE_BACK = 0x0606_0606_0606_0606n;
/** MTRRs on, fixed ones on, everything else write-back. */
const MTRR_DEF_TYPE_RESET = 0xc06n;
const MTRR_DEF_TYPE_WRITABLE = 0xcffn;
/** Locked, so no VMX. */
const FEATURE_CONTROL_VALUE = 0x1n;
const MEMORY_TYPES = new Set([0n, 1n, 4n, 5n, 6n]);

export class PlatformMsrs implements MsrSpace, Stateful {
  readonly #apic: MsrSpace;
  /** Registers that keep what is written. */
  readonly #stored = new Map<number, bigint>();

  /** `apic` has the local APIC's registers. */
  constructor(apic: MsrSpace) {
    this.#apic = apic;
    this.reset();
  }

  reset(): void {
    for (let i = 0; i < 2 * VARIABLE_MTRRS; i++) this.#stored.set(IA32_MTRR_PHYSBASE0 + i, 0n);
    for (const index of IA32_MTRR_FIXED) this.#stored.set(index, ALL_WRITE_BACK);
    this.#stored.set(IA32_MTRR_DEF_TYPE, MTRR_DEF_TYPE_RESET);
    this.#stored.set(IA32_MCG_STATUS, 0n);
    this.#stored.set(IA32_BIOS_SIGN_ID, 0n);
  }

  transferState(state: StateTransfer): void {
    for (const [index, value] of this.#stored) {
      const name = `msr${index.toString(16)}`;
      this.#stored.set(index, BigInt.asUintN(64, state.big(name, value)));
    }
  }

  read(index: number): bigint | undefined {
    switch (index) {
      case IA32_FEATURE_CONTROL:
        return FEATURE_CONTROL_VALUE;
      case IA32_MTRRCAP:
        return MTRRCAP_VALUE;
      case IA32_PLATFORM_ID:
      case IA32_MCG_CAP:
        return 0n;
      default:
        return this.#stored.get(index) ?? this.#apic.read(index);
    }
  }

  write(index: number, value: bigint): boolean {
    if (index === IA32_BIOS_UPDT_TRIG) return true;
    if (!this.#stored.has(index)) return this.#apic.write(index, value);
    const validType = (value & ~MTRR_DEF_TYPE_WRITABLE) === 0n && MEMORY_TYPES.has(value & 0xffn);
    if (index === IA32_MTRR_DEF_TYPE && !validType) return false;
    this.#stored.set(index, value);
    return true;
  }
}
