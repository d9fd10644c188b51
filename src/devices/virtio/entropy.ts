import type { VirtioDevice, VirtQueue } from './device.ts';

/** A request may be answered with fewer bytes than it has room for (§5.4.6.2); this bounds the work for one. */
const MAXIMUM_ANSWER = 65_536;

/** virtio 1.2 §5.4: one queue of buffers; fill each with random bytes. */
export class EntropyDevice implements VirtioDevice {
  readonly name = 'virtio-entropy';
  readonly type = 4;
  readonly features = 0n;
  readonly queueSizes = [64];
  readonly config = new Uint8Array(0);
  readonly #fill: (bytes: Uint8Array) => void;

  /** `fill` is asked for at most 65,536 bytes at a time. */
  constructor(fill: (bytes: Uint8Array) => void) {
    this.#fill = fill;
  }

  notified(_index: number, queue: VirtQueue): void {
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      const bytes = new Uint8Array(Math.min(chain.writableLength, MAXIMUM_ANSWER));
      this.#fill(bytes);
      chain.complete(chain.write(0, bytes));
    }
  }

  reset(): void {}
}
