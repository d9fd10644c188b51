/** Counts in a refcount block, of 1 to 64 bits each. */
import { readU64, writeU64 } from './format.ts';

/** A count of 64 bits is exact up to 2^53. */
export const MAXIMUM_COUNT = Number.MAX_SAFE_INTEGER;

/** The largest count of so many bits. */
export const largestCount = (bits: number): number => (bits === 64 ? MAXIMUM_COUNT : 2 ** bits - 1);

export function readCount(view: DataView, index: number, bits: number): number {
  switch (bits) {
    case 8:
      return view.getUint8(index);
    case 16:
      return view.getUint16(index * 2);
    case 32:
      return view.getUint32(index * 4);
    case 64:
      return readU64(view, index * 8);
    default: {
      const perByte = 8 / bits;
      return (view.getUint8(Math.floor(index / perByte)) >>> ((index % perByte) * bits)) & (2 ** bits - 1);
    }
  }
}

export function writeCount(view: DataView, index: number, bits: number, count: number): void {
  switch (bits) {
    case 8:
      view.setUint8(index, count);
      break;
    case 16:
      view.setUint16(index * 2, count);
      break;
    case 32:
      view.setUint32(index * 4, count);
      break;
    case 64:
      writeU64(view, index * 8, count);
      break;
    default: {
      const perByte = 8 / bits;
      const at = Math.floor(index / perByte);
      const shift = (index % perByte) * bits;
      const others = view.getUint8(at) & ~((2 ** bits - 1) << shift);
      view.setUint8(at, others | (count << shift));
      break;
    }
  }
}
