/** A virtio device, whatever its transport. */
export interface VirtioDevice {
  readonly name: string;
}
