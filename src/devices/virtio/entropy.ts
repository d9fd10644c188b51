import type { VirtioDevice } from './device.ts';

/** virtio 1.2 §5.4. */
export class EntropyDevice implements VirtioDevice {
  readonly name = 'virtio-entropy';
  constructor(fill: (bytes: Uint8Array) => void) {
    void fill;
  }
}
