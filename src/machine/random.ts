/** Randomness that repeats, for machines under a virtual clock. */
import type { Stateful, StateTransfer } from '../devices/state.ts';

const GOLDEN_GAMMA = 0x9e37_79b9_7f4a_7c15n;

/** SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): 64 new bits a call. Not fit for keys. */
export class SplitMix64 implements Stateful {
  #state: bigint;

  constructor(seed: bigint) {
    this.#state = seed;
  }

  next(): bigint {
    this.#state = BigInt.asUintN(64, this.#state + GOLDEN_GAMMA);
    let z = this.#state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
    return z ^ (z >> 31n);
  }

  transferState(state: StateTransfer): void {
    this.#state = BigInt.asUintN(64, state.big('state', this.#state));
  }
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

const POOL_WORDS = 128;

/** 64-bit words from a function that fills byte arrays; asks it for many at a time. */
export class WordPool implements Stateful {
  readonly #fill: (bytes: Uint8Array) => void;
  readonly #words = new BigUint64Array(POOL_WORDS);
  #used = POOL_WORDS;

  constructor(fill: (bytes: Uint8Array) => void) {
    this.#fill = fill;
  }

  next(): bigint {
    if (this.#used === POOL_WORDS) {
      this.#fill(new Uint8Array(this.#words.buffer));
      this.#used = 0;
    }
    return this.#words[this.#used++]!;
  }

  transferState(state: StateTransfer): void {
    state.file('words', new Uint8Array(this.#words.buffer));
    this.#used = state.integer('used', this.#used, 0, POOL_WORDS);
  }
}
