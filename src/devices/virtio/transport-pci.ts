import type { GuestMemory } from '../contract.ts';
import { PciFunction } from '../pci/function.ts';
import type { VirtioDevice } from './device.ts';

/** Puts a virtio device behind a modern PCI transport (virtio 1.2 §4.1): `bus.plug(3, virtioPci(device, memory))`. */
export function virtioPci(device: VirtioDevice, memory: GuestMemory): PciFunction {
  return new PciFunction(`${device.name} ${memory.size}`, { vendor: 0x1af4, device: 0x1040, classCode: 0 });
}
