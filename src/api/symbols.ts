/** Names of kernel addresses, from a `System.map`. */
import { UserError } from '../user-error.ts';

/** A line of `nm`: address, type, name. */
const LINE = /^([0-9a-f]{8,16}) [a-zA-Z?] (\S+)/;
/** Beyond this distance from a symbol an address is not its. */
const FARTHEST = 1n << 20n;

export class Symbols {
  /** Sorted. */
  readonly #addresses: BigUint64Array;
  readonly #names: readonly string[];

  private constructor(symbols: readonly (readonly [bigint, string])[]) {
    this.#addresses = BigUint64Array.from(symbols, ([address]) => address);
    this.#names = symbols.map(([, name]) => name);
  }

  /** @throws UserError when `text`, which is from `path`, has no symbol. */
  static parse(text: string, path: string): Symbols {
    const symbols = text.split('\n').flatMap((line) => {
      const match = LINE.exec(line);
      return match === null ? [] : [[BigInt(`0x${match[1]}`), match[2]] as const];
    });
    if (symbols.length === 0)
      throw new UserError(`${path} has no symbols: give a System.map, whose lines are an address, a type and a name`);
    return new Symbols(symbols.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  }

  /** `name` or `name+0x1f`; undefined for an address that no symbol is near to. */
  at(address: bigint): string | undefined {
    let [low, high] = [0, this.#addresses.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#addresses[middle] <= address) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    const distance = address - this.#addresses[low - 1];
    if (distance >= FARTHEST) return undefined;
    return distance === 0n ? this.#names[low - 1] : `${this.#names[low - 1]}+0x${distance.toString(16)}`;
  }
}
