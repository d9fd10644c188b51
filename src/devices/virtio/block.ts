import type { BlockBackend } from '../contract.ts';
import type { VirtioDevice } from './device.ts';

/** virtio 1.2 §5.2. */
export class BlockDevice implements VirtioDevice {
  readonly name: string;
  /** `id` is what the guest reads as serial number, at most 20 ASCII bytes. */
  constructor(backend: BlockBackend, id: string) {
    this.name = `virtio-block ${id} ${backend.size}`;
  }
  /** Resolves when no request is under way. */
  async idle(): Promise<void> {}
}
