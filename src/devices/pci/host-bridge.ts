import { PciFunction } from './function.ts';

/** Function 00:00.0 of the board: identity only. */
export function hostBridge(): PciFunction {
  return new PciFunction('pci-host-bridge');
}
