/** The state of a device as JSON, on its way into a snapshot. */
import type { Alarm, Clock } from '../devices/contract.ts';
import type { Stateful, StateTransfer } from '../devices/state.ts';
import { toHex } from '../hex.ts';
import { UserError } from '../user-error.ts';

export type StateValue =
  | number
  | boolean
  | string
  | null
  | readonly StateValue[]
  | { readonly [name: string]: StateValue };
export type StateFields = Readonly<Record<string, StateValue>>;

class StateWriter implements StateTransfer {
  readonly restoring = false;
  readonly fields: Record<string, StateValue> = {};

  #note<T>(name: string, value: T, noted: StateValue): T {
    if (name in this.fields) throw new Error(`${name} is saved twice`);
    this.fields[name] = noted;
    return value;
  }

  integer(name: string, value: number): number {
    return this.#note(name, value, value);
  }
  byte(name: string, value: number): number {
    return this.#note(name, value, value);
  }
  word(name: string, value: number): number {
    return this.#note(name, value, value);
  }
  doubleword(name: string, value: number): number {
    return this.#note(name, value, value);
  }
  /** JSON's numbers are not exact so far. */
  big(name: string, value: bigint): bigint {
    return this.#note(name, value, value.toString());
  }
  flag(name: string, value: boolean): boolean {
    return this.#note(name, value, value);
  }
  choice<T extends string>(name: string, value: T): T {
    return this.#note(name, value, value);
  }
  optional(name: string, value: number | undefined): number | undefined {
    return this.#note(name, value, value ?? null);
  }
  bytes(name: string, value: Uint8Array, most: number): Uint8Array {
    if (value.length > most)
      throw new UserError(
        `no snapshot can hold ${value.length} bytes of typed input: wait until the guest has read more`,
      );
    return this.#note(name, value, toHex(value));
  }
  file(name: string, file: Uint8Array): void {
    this.#note(name, file, toHex(file));
  }
  part(name: string, carry: (state: StateTransfer) => void): void {
    const part = new StateWriter();
    carry(part);
    this.#note(name, undefined, part.fields);
  }
  list(name: string, length: number, _most: number, carry: (state: StateTransfer, index: number) => void): number {
    const parts = Array.from({ length }, (_, i) => {
      const part = new StateWriter();
      carry(part, i);
      return part.fields;
    });
    return this.#note(name, length, parts);
  }
  alarm(name: string, _clock: Clock, alarm: Alarm | undefined): Alarm | undefined {
    const due = alarm?.due;
    return this.#note(name, alarm, due === undefined ? null : { ns: due.ns.toString(), order: due.order });
  }
  require(): void {}
}

export function saveState(of: Stateful): StateFields {
  const writer = new StateWriter();
  of.transferState(writer);
  return writer.fields;
}
