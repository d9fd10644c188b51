import type { IrqLine } from './contract.ts';
import * as register from './local-apic-registers.ts';
import type { StateTransfer } from './state.ts';

/** What an interrupt asks for; `level` is the trigger mode. */
export interface Delivery {
  /** Bits 10:8 of LVT entries, ICR and messages. */
  readonly mode: number;
  readonly vector: number;
  readonly level: boolean;
}

/** What the table tells its APIC. */
export interface LocalVectorTableWires {
  readonly accept: (delivery: Delivery) => void;
  /** An unmasked ExtINT may have come or gone. */
  readonly externalChanged: () => void;
}

type Pin = typeof register.LVT_LINT0 | typeof register.LVT_LINT1;

const PINS: readonly (readonly [string, Pin])[] = [
  ['lint0', register.LVT_LINT0],
  ['lint1', register.LVT_LINT1],
];

/** The local vector table and the pins LINT0 and LINT1 (SDM vol. 3 §11.5.1). */
export class LocalVectorTable {
  readonly lint0: IrqLine;
  readonly lint1: IrqLine;
  readonly #wires: LocalVectorTableWires;
  readonly #entries = new Map<number, number>();
  readonly #pins = new Map<Pin, boolean>();
  /** The pins are plain INTR and NMI (SDM vol. 3 §11.4.3). */
  #bypassed = false;

  constructor(wires: LocalVectorTableWires) {
    this.#wires = wires;
    this.lint0 = { set: (asserted) => this.#setPin(register.LVT_LINT0, asserted) };
    this.lint1 = { set: (asserted) => this.#setPin(register.LVT_LINT1, asserted) };
    this.reset();
  }

  reset(): void {
    for (let index = register.LVT_TIMER; index <= register.LVT_ERROR; index++) {
      this.#entries.set(index, register.LVT_MASKED);
    }
  }

  transferState(state: StateTransfer): void {
    for (const [index, entry] of this.#entries)
      this.#entries.set(index, state.doubleword(`entry${index.toString(16)}`, entry));
    for (const [name, pin] of PINS) this.#pins.set(pin, state.flag(name, this.#pins.get(pin) ?? false));
    this.#bypassed = state.flag('bypassed', this.#bypassed);
  }

  bypass(bypassed: boolean): void {
    this.#bypassed = bypassed;
  }

  /** undefined: not a register of the table. */
  read(index: number): number | undefined {
    return this.#entries.get(index);
  }

  write(index: number, value: number): void {
    const remoteIrr = value & register.LVT_LEVEL ? this.#entry(index) & register.LVT_REMOTE_IRR : 0;
    this.#entries.set(index, value | remoteIrr);
    if (index === register.LVT_LINT0) this.#redeliver();
  }

  maskAll(): void {
    for (const [index, entry] of this.#entries) this.#entries.set(index, entry | register.LVT_MASKED);
  }

  /** Delivers what the entry says unless it is masked. */
  raise(index: number): void {
    const entry = this.#entry(index);
    if (entry & register.LVT_MASKED) return;
    const mode = index === register.LVT_TIMER || index === register.LVT_ERROR ? 0 : (entry >> 8) & 7;
    // An ExtINT is the level of its pin, for which the APIC asks `externalPending`.
    if (mode === register.DELIVERY_EXTERNAL) return;
    const level = index === register.LVT_LINT0 && mode === 0 && (entry & register.LVT_LEVEL) !== 0;
    if (level) this.#entries.set(index, entry | register.LVT_REMOTE_IRR);
    this.#wires.accept({ mode, vector: entry & 0xff, level });
  }

  /** The PIC asks through LINT0. */
  externalPending(): boolean {
    if (!this.#pins.get(register.LVT_LINT0)) return false;
    if (this.#bypassed) return true;
    const entry = this.#entry(register.LVT_LINT0);
    return ((entry >> 8) & 7) === register.DELIVERY_EXTERNAL && (entry & register.LVT_MASKED) === 0;
  }

  /** A level-triggered vector was ended: it may be LINT0's. */
  endOfInterrupt(vector: number): void {
    const entry = this.#entry(register.LVT_LINT0);
    if ((entry & register.LVT_REMOTE_IRR) === 0 || (entry & 0xff) !== vector) return;
    this.#entries.set(register.LVT_LINT0, entry & ~register.LVT_REMOTE_IRR);
    this.#redeliver();
  }

  #entry(index: number): number {
    return this.#entries.get(index) ?? register.LVT_MASKED;
  }

  #setPin(pin: Pin, asserted: boolean): void {
    const rose = asserted && !this.#pins.get(pin);
    this.#pins.set(pin, asserted);
    if (rose && !this.#bypassed) this.raise(pin);
    if (rose && this.#bypassed && pin === register.LVT_LINT1) {
      this.#wires.accept({ mode: register.DELIVERY_NMI, vector: 0, level: false });
    }
    if (pin === register.LVT_LINT0) this.#wires.externalChanged();
  }

  /** LINT0 as a level asks again as long as its wire is high and its last interrupt was ended. */
  #redeliver(): void {
    const entry = this.#entry(register.LVT_LINT0);
    const waiting = (entry & register.LVT_LEVEL) !== 0 && (entry & register.LVT_REMOTE_IRR) === 0;
    if (waiting && this.#pins.get(register.LVT_LINT0)) this.raise(register.LVT_LINT0);
  }
}
