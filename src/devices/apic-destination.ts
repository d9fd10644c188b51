import type { ApicMode } from './x2apic.ts';

/** How a local APIC can be addressed. */
export interface ApicAddress {
  readonly mode: ApicMode;
  /** LDR as read: in xAPIC mode bits 31:24. */
  readonly logicalDestination: number;
  /** DFR: the model is bits 31:28. */
  readonly destinationFormat: number;
}

const CLUSTER_MODEL = 0;
const ALL_CLUSTERS = 0xf;

/** Is this APIC one of those that a destination in logical mode names? (SDM vol. 3 §11.6.2.2, §11.12.10) */
export function matchesLogical(address: ApicAddress, destination: number): boolean {
  const own = address.logicalDestination;
  if (address.mode === 'x2APIC') return destination >>> 16 === own >>> 16 && (destination & own & 0xffff) !== 0;
  const mine = own >>> 24;
  if (address.destinationFormat >>> 28 !== CLUSTER_MODEL) return (destination & mine) !== 0;
  const cluster = destination >> 4;
  return (cluster === mine >> 4 || cluster === ALL_CLUSTERS) && (destination & mine & 0xf) !== 0;
}
