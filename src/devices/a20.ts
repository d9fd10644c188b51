import type { StateTransfer } from './state.ts';

/** The gate of address line 20, which the keyboard controller and system control port A both move. */
export class A20Gate {
  #enabled = true;
  readonly #changed: (enabled: boolean) => void;

  /** `changed` hears every change; a machine that never masks A20 needs none. */
  constructor(changed: (enabled: boolean) => void = () => {}) {
    this.#changed = changed;
  }

  get enabled(): boolean {
    return this.#enabled;
  }

  /** Whoever masks addresses hears of a gate that is restored closed. */
  transferState(state: StateTransfer): void {
    this.set(state.flag('enabled', this.#enabled));
  }

  set(enabled: boolean): void {
    if (enabled === this.#enabled) return;
    this.#enabled = enabled;
    this.#changed(enabled);
  }
}
