import * as register from './local-apic-registers.ts';
import type { StateTransfer } from './state.ts';
import { VectorSet } from './vector-set.ts';

/** Which vectors wait in a local APIC and which are being served, and by their priorities which comes next (SDM vol. 3 §11.8.3–11.8.4). */
export class ApicVectors {
  taskPriority = 0;
  readonly #request = new VectorSet();
  readonly #inService = new VectorSet();
  readonly #triggerMode = new VectorSet();

  clear(): void {
    for (const set of [this.#request, this.#inService, this.#triggerMode]) set.clear();
    this.taskPriority = 0;
  }

  request(vector: number, level: boolean): void {
    this.#request.add(vector);
    if (level) this.#triggerMode.add(vector);
    else this.#triggerMode.delete(vector);
  }

  processorPriority(): number {
    const serving = Math.max(this.#inService.highest(), 0);
    return this.taskPriority >> 4 >= serving >> 4 ? this.taskPriority : serving & 0xf0;
  }

  /** The vector that the priorities let through; -1: none. */
  deliverable(): number {
    const vector = this.#request.highest();
    return vector >> 4 > this.processorPriority() >> 4 ? vector : -1;
  }

  /** Serves the vector that is next and returns it; -1: none. */
  take(): number {
    const vector = this.deliverable();
    if (vector < 0) return -1;
    this.#request.delete(vector);
    this.#inService.add(vector);
    return vector;
  }

  /** Ends what is being served, the highest of it; undefined: nothing is. */
  end(): { readonly vector: number; readonly level: boolean } | undefined {
    const vector = this.#inService.highest();
    if (vector < 0) return undefined;
    this.#inService.delete(vector);
    return { vector, level: this.#triggerMode.has(vector) };
  }

  /** A word of ISR, TMR or IRR. */
  readRegister(index: number): number {
    if (index < register.TRIGGER_MODE) return this.#inService.word(index & 7);
    return (index < register.INTERRUPT_REQUEST ? this.#triggerMode : this.#request).word(index & 7);
  }

  transferState(state: StateTransfer): void {
    this.#request.transferState(state, 'request');
    this.#inService.transferState(state, 'inService');
    this.#triggerMode.transferState(state, 'triggerMode');
    this.taskPriority = state.byte('taskPriority', this.taskPriority);
  }
}
