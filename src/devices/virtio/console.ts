import type { ByteSink } from '../contract.ts';
import type { VirtioDevice } from './device.ts';

/** virtio 1.2 §5.3, one port. */
export class ConsoleDevice implements VirtioDevice {
  readonly name = 'virtio-console';
  constructor(output: ByteSink) {
    void output;
  }
  /** Bytes typed at the host; returns how many were taken (the rest should be offered again later). */
  input(bytes: Uint8Array): number {
    return bytes.length;
  }
  resize(columns: number, rows: number): void {
    void columns;
    void rows;
  }
}
