import { PciFunction } from './function.ts';

const INTEL = 0x8086;
const I440FX = 0x1237;
const CLASS_HOST_BRIDGE = 0x06_00_00;

/** Function 00:00.0 of the board: identity only. */
export function hostBridge(): PciFunction {
  return new PciFunction('pci-host-bridge', {
    vendor: INTEL,
    device: I440FX,
    classCode: CLASS_HOST_BRIDGE,
    revision: 2,
  });
}
