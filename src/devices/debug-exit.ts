import type { Device, Width } from './contract.ts';

/** Ends the machine on a guest's word, as QEMU's `isa-debug-exit`: writing v exits with (v << 1) | 1. */
export class DebugExit implements Device {
  readonly name = 'debug-exit';
  readonly #exit: (code: number) => void;

  constructor(exit: (code: number) => void) {
    this.#exit = exit;
  }

  read(): number {
    return 0;
  }

  write(_offset: number, _width: Width, value: number): void {
    this.#exit(((value << 1) | 1) >>> 0);
  }

  reset(): void {}
}
