import type { ByteSink, IrqLine } from '../../src/devices/contract.ts';

/** A wire that remembers its level and counts rising edges. */
export class Probe implements IrqLine {
  level = false;
  rises = 0;

  set(asserted: boolean): void {
    if (asserted && !this.level) this.rises++;
    this.level = asserted;
  }
}

/** Collects what a guest prints. */
export class Transcript implements ByteSink {
  readonly chunks: Uint8Array[] = [];

  write(bytes: Uint8Array): void {
    this.chunks.push(bytes);
  }

  get text(): string {
    return this.chunks.map((chunk) => new TextDecoder().decode(chunk)).join('');
  }
}
