/** Randomness that repeats, for machines under a virtual clock. */

const GOLDEN_GAMMA = 0x9e37_79b9_7f4a_7c15n;

/** SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): 64 new bits a call. Not fit for keys. */
export function splitMix64(seed: bigint): () => bigint {
  let state = seed;
  return () => {
    state = BigInt.asUintN(64, state + GOLDEN_GAMMA);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
    return z ^ (z >> 31n);
  };
}

/** Fills byte arrays from a source of 64-bit words. */
export function fillFrom(next: () => bigint): (bytes: Uint8Array) => void {
  return (bytes) => {
    for (let at = 0; at < bytes.length; at += 8) {
      let word = next();
      for (let i = at; i < Math.min(at + 8, bytes.length); i++, word >>= 8n) bytes[i] = Number(word & 0xffn);
    }
  };
}

/** 64-bit words from a function that fills byte arrays; asks it for many at a time. */
export function wordsFrom(fill: (bytes: Uint8Array) => void): () => bigint {
  const pool = new BigUint64Array(128);
  let used = pool.length;
  return () => {
    if (used === pool.length) {
      fill(new Uint8Array(pool.buffer));
      used = 0;
    }
    return pool[used++]!;
  };
}
