import * as register from './local-apic-registers.ts';
import type { ApicTimer } from './local-apic-timer.ts';
import type { StateTransfer } from './state.ts';

const IA32_APIC_BASE = 0x1b;
const IA32_TSC_DEADLINE = 0x6e0;
const X2APIC_FIRST = 0x800;
const X2APIC_LAST = 0x8ff;

const BASE_BOOTSTRAP_PROCESSOR = 0x100n;
const BASE_X2APIC = 0x400n;
const BASE_ENABLED = 0x800n;
/** Physical addresses have 40 bits. */
const BASE_ADDRESS = 0xff_ffff_f000n;
const BASE_BITS = BASE_ADDRESS | BASE_ENABLED | BASE_X2APIC | BASE_BOOTSTRAP_PROCESSOR;
const DEFAULT_ADDRESS = 0xfee0_0000n;

export type ApicMode = 'disabled' | 'xAPIC' | 'x2APIC';

/** The registers behind the MSRs. `read` and `write` as an xAPIC would, undefined and false for what is not there. */
export interface X2ApicTarget {
  readonly id: number;
  readonly timer: ApicTimer;
  read(index: number): number | undefined;
  write(index: number, value: number): boolean;
  /** ICR: its low half and the 32-bit destination. */
  command(low: number, destination: number): void;
  selfInterrupt(vector: number): void;
  modeChanged(): void;
  /** The registers are at another physical address. */
  moved(base: number): void;
}

/** The local APIC's MSRs (SDM vol. 3 §11.12). As the engine's `MsrSpace`: undefined and false stand for #GP(0). */
export class X2Apic {
  readonly #target: X2ApicTarget;
  #base = DEFAULT_ADDRESS;
  #commandDestination = 0;

  constructor(target: X2ApicTarget) {
    this.#target = target;
    this.reset();
  }

  get mode(): ApicMode {
    if ((this.#base & BASE_ENABLED) === 0n) return 'disabled';
    return this.#base & BASE_X2APIC ? 'x2APIC' : 'xAPIC';
  }

  reset(): void {
    const before = this.#base;
    // The processor with APIC ID 0 is the one that boots.
    this.#base = DEFAULT_ADDRESS | BASE_ENABLED | (this.#target.id === 0 ? BASE_BOOTSTRAP_PROCESSOR : 0n);
    this.#commandDestination = 0;
    this.#noticeMove(before);
  }

  transferState(state: StateTransfer): void {
    const before = this.#base;
    this.#base = state.big('base', this.#base);
    this.#commandDestination = state.doubleword('commandDestination', this.#commandDestination);
    state.require((this.#base & ~BASE_BITS) === 0n, 'the base has bits that it cannot have');
    this.#noticeMove(before);
  }

  read(index: number): bigint | undefined {
    if (index === IA32_APIC_BASE) return this.#base;
    if (index === IA32_TSC_DEADLINE) return this.#target.timer.deadline;
    if (!this.#isRegister(index)) return undefined;
    return this.#readRegister(index - X2APIC_FIRST);
  }

  write(index: number, value: bigint): boolean {
    if (index === IA32_APIC_BASE) return this.#writeBase(value);
    if (index === IA32_TSC_DEADLINE) {
      this.#target.timer.setDeadline(value);
      return true;
    }
    return this.#isRegister(index) && this.#writeRegister(index - X2APIC_FIRST, value);
  }

  #isRegister(index: number): boolean {
    return this.mode === 'x2APIC' && index >= X2APIC_FIRST && index <= X2APIC_LAST;
  }

  #writeBase(value: bigint): boolean {
    if (value & ~BASE_BITS) return false;
    const extended = (value & BASE_X2APIC) !== 0n;
    const enabled = (value & BASE_ENABLED) !== 0n;
    const before = this.mode;
    const baseBefore = this.#base;
    // SDM vol. 3 figure 11-27: x2APIC is entered from xAPIC only, and left only by disabling.
    if (extended && (!enabled || before === 'disabled')) return false;
    if (before === 'x2APIC' && enabled && !extended) return false;
    this.#base = value;
    if (this.mode !== before) this.#target.modeChanged();
    this.#noticeMove(baseBefore);
    return true;
  }
  #noticeMove(before: bigint): void {
    const address = this.#base & BASE_ADDRESS;
    if (address !== (before & BASE_ADDRESS)) this.#target.moved(Number(address));
  }

  #readRegister(index: number): bigint | undefined {
    switch (index) {
      case register.DESTINATION_FORMAT:
      case register.INTERRUPT_COMMAND_HIGH:
        return undefined;
      case register.INTERRUPT_COMMAND:
        return (BigInt(this.#commandDestination) << 32n) | BigInt(this.#target.read(index) ?? 0);
      default: {
        const value = this.#target.read(index);
        return value === undefined ? undefined : BigInt(value);
      }
    }
  }

  #writeRegister(index: number, value: bigint): boolean {
    const low = Number(value & 0xffffffffn);
    if (index === register.INTERRUPT_COMMAND) {
      if (!onlyWritable(index, low)) return false;
      this.#commandDestination = Number(value >> 32n);
      this.#target.command(low, this.#commandDestination);
      return true;
    }
    if (value > 0xffffffffn) return false;
    switch (index) {
      case register.END_OF_INTERRUPT:
      case register.ERROR_STATUS:
        return low === 0 && this.#target.write(index, 0);
      case register.SELF_IPI:
        if (low > 0xff) return false;
        this.#target.selfInterrupt(low);
        return true;
      case register.LOGICAL_DESTINATION:
      case register.DESTINATION_FORMAT:
      case register.INTERRUPT_COMMAND_HIGH:
        return false;
      default:
        return onlyWritable(index, low) && this.#target.write(index, low);
    }
  }
}

/** Writes that set reserved bits raise #GP; those that repeat a status bit do not. */
function onlyWritable(index: number, value: number): boolean {
  const status =
    index >= register.LVT_TIMER && index <= register.LVT_ERROR
      ? register.LVT_DELIVERY_STATUS | register.LVT_REMOTE_IRR
      : 0;
  const writable = register.WRITABLE_BITS.get(index);
  return writable !== undefined && (value & ~(writable | status)) === 0;
}
