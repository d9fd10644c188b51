import type { ApicMode } from './x2apic.ts';

/** How a local APIC can be addressed. */
export interface ApicAddress {
  readonly id: number;
  readonly mode: ApicMode;
  /** LDR as read: in xAPIC mode bits 31:24. */
  readonly logicalDestination: number;
  /** DFR: the model is bits 31:28. */
  readonly destinationFormat: number;
}

const CLUSTER_MODEL = 0;
const ALL_CLUSTERS = 0xf;

/** Whom a message or a command is for. */
export interface ApicDestination {
  readonly destination: number;
  readonly logical: boolean;
  /** The destination that is everybody. */
  readonly broadcast: number;
}

/** Is this APIC meant? (SDM vol. 3 §11.6.2) */
export function isAddressed(address: ApicAddress, { destination, logical, broadcast }: ApicDestination): boolean {
  if (destination === broadcast) return true;
  return logical ? matchesLogical(address, destination) : destination === address.id;
}

/** Is this APIC one of those that a destination in logical mode names? (SDM vol. 3 §11.6.2.2, §11.12.10) */
function matchesLogical(address: ApicAddress, destination: number): boolean {
  const own = address.logicalDestination;
  if (address.mode === 'x2APIC') return destination >>> 16 === own >>> 16 && (destination & own & 0xffff) !== 0;
  const mine = own >>> 24;
  if (address.destinationFormat >>> 28 !== CLUSTER_MODEL) return (destination & mine) !== 0;
  const cluster = destination >> 4;
  return (cluster === mine >> 4 || cluster === ALL_CLUSTERS) && (destination & mine & 0xf) !== 0;
}
