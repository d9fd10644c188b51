import type { GuestMemory, PhysicalAddress } from './contract.ts';

const SIZE = 16;

/**
 * The virtual machine generation identifier: 16 random bytes of guest memory that are others whenever the machine goes on from a
 * snapshot, so that no two machines take each other's random numbers or sessions for their own. ACPI says where it lies.
 */
export class GenerationId {
  readonly #memory: GuestMemory;
  readonly #at: PhysicalAddress;
  readonly #fill: (bytes: Uint8Array) => void;
  readonly #changed: () => void;

  /** `changed` is the event that tells the guest. */
  constructor(
    place: { readonly memory: GuestMemory; readonly at: PhysicalAddress },
    fill: (bytes: Uint8Array) => void,
    changed: () => void,
  ) {
    this.#memory = place.memory;
    this.#at = place.at;
    this.#fill = fill;
    this.#changed = changed;
  }

  /** Power-on. */
  reset(): void {
    const bytes = this.#memory.writable(this.#at, SIZE);
    if (bytes !== undefined) this.#fill(bytes);
  }

  /** The machine was restored. */
  renew(): void {
    this.reset();
    this.#changed();
  }
}
