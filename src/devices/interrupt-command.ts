/** The interrupt command register, ICR (SDM vol. 3 §11.6.1). */
import * as register from './local-apic-registers.ts';

export interface InterruptCommand {
  readonly vector: number;
  /** Delivery mode. */
  readonly mode: number;
  /** The destination is a logical one. */
  readonly logical: boolean;
  /** Undefined: the destination says whom it is for. */
  readonly shorthand: 'self' | 'all' | 'others' | undefined;
  /** INIT level de-assert, which does nothing on processors since the Pentium 4. */
  readonly deassert: boolean;
}

const LOGICAL_DESTINATION_MODE = 0x800;
const LEVEL_ASSERT = 0x4000;
const SHORTHANDS = [undefined, 'self', 'all', 'others'] as const;

/** `low`: its bits 31:0. */
export function decodeCommand(low: number): InterruptCommand {
  const mode = (low >> 8) & 7;
  return {
    vector: low & 0xff,
    mode,
    logical: (low & LOGICAL_DESTINATION_MODE) !== 0,
    shorthand: SHORTHANDS[(low >> 18) & 3],
    deassert: mode === register.DELIVERY_INIT && (low & register.TRIGGER_LEVEL) !== 0 && (low & LEVEL_ASSERT) === 0,
  };
}
