/** Little-endian register files kept as bytes. */
import type { Width } from './contract.ts';

/** What a read of `width` bytes gives where nothing answers. */
export function allOnes(width: Width): number {
  return 2 ** (8 * width) - 1;
}

/** An unsigned value of `width` bytes; bytes behind the end read as zero. */
export function load(bytes: Uint8Array, offset: number, width: Width): number {
  let value = 0;
  for (let i = width - 1; i >= 0; i--) value = value * 256 + (bytes[offset + i] ?? 0);
  return value;
}

/** Bytes behind the end are dropped. */
export function store(bytes: Uint8Array, offset: number, width: Width, value: number): void {
  for (let i = 0; i < width; i++) bytes[offset + i] = value >>> (8 * i);
}
