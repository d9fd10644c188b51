/** Model-specific registers of the board's processor that live outside its core and its local APIC. */
import type { MsrSpace } from '../engine/engine.ts';

const IA32_TSC = 0x10;
const IA32_PLATFORM_ID = 0x17;
const IA32_FEATURE_CONTROL = 0x3a;
const IA32_TSC_ADJUST = 0x3b;
const IA32_BIOS_UPDT_TRIG = 0x79;
const IA32_BIOS_SIGN_ID = 0x8b;
const IA32_MTRRCAP = 0xfe;
const IA32_MCG_CAP = 0x179;
const IA32_MCG_STATUS = 0x17a;
const IA32_MISC_ENABLE = 0x1a0;
const IA32_MTRR_PHYSBASE0 = 0x200;
const IA32_MTRR_FIXED = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f] as const;
const IA32_MTRR_DEF_TYPE = 0x2ff;
const IA32_TSC_DEADLINE = 0x6e0;

const VARIABLE_MTRRS = 8;
/** WC, fixed ranges, eight variable ranges (SDM vol. 3 §12.11.1). */
const MTRRCAP_VALUE = 0x500n | BigInt(VARIABLE_MTRRS);
/** MTRRs on, fixed ones on, everything else write-back. */
const MTRR_DEF_TYPE_RESET = 0xc06n;
const MTRR_DEF_TYPE_WRITABLE = 0xcffn;
/** Fast strings. */
const MISC_ENABLE_RESET = 0x1n;
/** Locked, so no VMX. */
const FEATURE_CONTROL_VALUE = 0x1n;
const MEMORY_TYPES = new Set([0n, 1n, 4n, 5n, 6n]);

const wrap = (value: bigint): bigint => BigInt.asUintN(64, value);

export class PlatformMsrs implements MsrSpace {
  readonly #apic: MsrSpace;
  readonly #counter: () => bigint;
  readonly #stored = new Map<number, bigint>();
  /** What software added to the counter by IA32_TSC or IA32_TSC_ADJUST. */
  #adjust = 0n;

  /** `counter` is the time-stamp counter as if never written; `apic` has the local APIC's registers. */
  constructor(counter: () => bigint, apic: MsrSpace) {
    this.#counter = counter;
    this.#apic = apic;
    this.reset();
  }

  reset(): void {
    this.#adjust = 0n;
    this.#stored.clear();
    for (let i = 0; i < 2 * VARIABLE_MTRRS; i++) this.#stored.set(IA32_MTRR_PHYSBASE0 + i, 0n);
    for (const index of IA32_MTRR_FIXED) this.#stored.set(index, 0x0606_0606_0606_0606n);
    this.#stored.set(IA32_MTRR_DEF_TYPE, MTRR_DEF_TYPE_RESET);
    this.#stored.set(IA32_MISC_ENABLE, MISC_ENABLE_RESET);
    this.#stored.set(IA32_MCG_STATUS, 0n);
    this.#stored.set(IA32_BIOS_SIGN_ID, 0n);
  }

  /** The time-stamp counter as software sees it. */
  timestamp(): bigint {
    return wrap(this.#counter() + this.#adjust);
  }

  read(index: number): bigint | undefined {
    switch (index) {
      case IA32_TSC:
        return this.timestamp();
      case IA32_TSC_ADJUST:
        return wrap(this.#adjust);
      case IA32_TSC_DEADLINE:
        return this.#readDeadline();
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
    switch (index) {
      case IA32_TSC:
        this.#adjust = value - this.#counter();
        return true;
      case IA32_TSC_ADJUST:
        this.#adjust = value;
        return true;
      case IA32_TSC_DEADLINE:
        return this.#writeDeadline(value);
      case IA32_BIOS_UPDT_TRIG:
        return true;
      case IA32_MTRR_DEF_TYPE:
        if ((value & ~MTRR_DEF_TYPE_WRITABLE) !== 0n || !MEMORY_TYPES.has(value & 0xffn)) return false;
        break;
      case IA32_FEATURE_CONTROL:
      case IA32_MTRRCAP:
      case IA32_PLATFORM_ID:
      case IA32_MCG_CAP:
        return false;
    }
    if (!this.#stored.has(index)) return this.#apic.write(index, value);
    this.#stored.set(index, value);
    return true;
  }

  // The APIC's deadline counts the unadjusted counter; 0 means disarmed in either.
  #readDeadline(): bigint | undefined {
    const deadline = this.#apic.read(IA32_TSC_DEADLINE);
    return deadline === undefined || deadline === 0n ? deadline : wrap(deadline + this.#adjust);
  }

  #writeDeadline(value: bigint): boolean {
    if (value === 0n) return this.#apic.write(IA32_TSC_DEADLINE, 0n);
    const deadline = BigInt.asIntN(64, value - this.#adjust);
    return this.#apic.write(IA32_TSC_DEADLINE, deadline > 0n ? deadline : 1n);
  }
}
