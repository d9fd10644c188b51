/**
 * What a virtio device is made of, whatever its transport (virtio 1.2).
 *
 * Section numbers in this folder are those of the Virtual I/O Device specification, version 1.2.
 */
import type { Width } from '../contract.ts';
import type { StateTransfer } from '../state.ts';

/**
 * One request of the driver: bytes that the device reads, then bytes that it writes (§2.7.4).
 * Offsets count through all buffers of a kind. Once the driver has reset the device a chain is dead: reads and writes
 * move nothing and completing it does nothing, so that slow back ends need not care.
 */
export interface Chain {
  readonly readableLength: number;
  readonly writableLength: number;
  /** Copies out of guest memory; returns how many bytes were there. */
  read(offset: number, into: Uint8Array): number;
  /** Copies into guest memory; returns how many bytes found room. */
  write(offset: number, from: Uint8Array): number;
  /** Gives the buffers back; `written` bytes from the start of the writable part are new. */
  complete(written: number): void;
}

/** A virtqueue as a device sees it. Whatever is wrong in it breaks the device, and `pop` gives undefined from then on. */
export interface VirtQueue {
  /** The next request, or undefined when there is none. */
  pop(): Chain | undefined;
  /** The driver broke the protocol of this device: it must reset it before anything else works. */
  fail(reason: string): void;
}

/** What a device can do with the driver that has taken it. */
export interface VirtioDriver {
  /** The features that both sides accepted. */
  readonly features: bigint;
  /** The queue, or undefined while the driver has not enabled it. */
  queue(index: number): VirtQueue | undefined;
  /** `config` has changed: tells the driver. */
  configChanged(): void;
}

export interface VirtioDevice {
  readonly name: string;
  /** §5. */
  readonly type: number;
  /** Offered device-specific features (bits 0–23); transport features are not the device's business. */
  readonly features: bigint;
  /** The largest size of each queue: powers of two. */
  readonly queueSizes: readonly number[];
  /** The device-specific configuration space as it stands. */
  readonly config: Uint8Array;
  /** The driver is ready (DRIVER_OK). `driver` is void after `reset`. */
  activate?(driver: VirtioDriver): void;
  /** The driver has put something into a queue. */
  notified(index: number, queue: VirtQueue): void;
  /** The driver writes into the configuration space; absent: read-only. */
  writeConfig?(offset: number, width: Width, value: number): void;
  /** State beyond that of the transport, when no request is under way. Restored behind `activate`. */
  transferState?(state: StateTransfer): void;
  /** Back to before `activate`. Called once at power-on and whenever the driver resets. */
  reset(): void;
}
