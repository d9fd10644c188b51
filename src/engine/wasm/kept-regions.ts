/**
 * Translated regions that are kept from run to run, and the functions that they share. All is plain data: the host keeps it, and answers
 * that it is of the same sources.
 *
 * As bytes: the length of the index and its check (4 bytes each, lowest first), the index as JSON, the parts one after another. A part is the
 * length of its head (4 bytes, lowest first), its head as JSON, and its bytes.
 */

import { joined } from '../../joined.ts';
import { type Assembly, calleeName, merge } from './assembly.ts';

/** A file, read where something is asked for. */
export interface KeptBytes {
  /** @throws Error when there are not so many. */
  read(at: number, length: number): Uint8Array;
  close(): void;
}

/** A stretch of code that a region was made of: a block. */
export interface KeptBlock {
  /** From the start of the page that the entry is on. */
  readonly offset: number;
  readonly length: number;
}

interface RegionHead {
  /** The entry's first. */
  readonly blocks: readonly KeptBlock[];
  readonly instructions: number;
  /** Offsets of blocks whose records the module imports, by the numbers of these imports. */
  readonly records: readonly number[];
  /** Numbers of the functions that make flags for it. */
  readonly makers: readonly number[];
  readonly imports: readonly string[];
  /** What the translator wants to know of it again. */
  readonly note: unknown;
}
export interface KeptRegion extends RegionHead {
  /** Of all blocks, one after another. */
  readonly code: Uint8Array;
  readonly wasm: Uint8Array<ArrayBuffer>;
}

/** A module of functions that make flags. */
export interface KeptMakers extends Pick<Assembly, 'bytes' | 'imports'> {
  /** In the order of its exports. */
  readonly numbers: readonly number[];
}
type MakersHead = Omit<KeptMakers, 'bytes'>;

interface Place {
  readonly at: number;
  readonly length: number;
  /** `checkOf` its bytes. */
  readonly check: number;
}
interface Index {
  /** Shapes of recipes by the numbers of their functions. */
  readonly shapes: readonly string[];
  readonly makers: readonly (Place & { readonly numbers: readonly number[] })[];
  /** What was used last comes first. */
  readonly regions: readonly (Place & { readonly key: number })[];
}

/** A part: in the file that was opened, or new. */
type Part = Place | Uint8Array;
interface Entry {
  readonly key: number;
  readonly part: Part;
}

const LENGTH_BYTES = 4;
/** Numbers of functions that make flags are below: they have places in the table that are the same in every run. */
export const MOST_MAKERS = 1024;
/** Of one key: regions of different code, or made at different times. */
const MOST_ALIKE = 3;
const MOST_BYTES = 32 * 2 ** 20;
/** More are not kept of one run, whose memory they take. */
const MOST_NEW_BYTES = 8 * 2 ** 20;

/** FNV-1a. */
export function checkOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
  return hash >>> 0;
}

export class KeptRegions {
  readonly #open: () => KeptBytes | undefined;
  readonly #mostBytes: number;
  #opened = false;
  #file: KeptBytes | undefined;
  /** Where the parts begin in the file. */
  #start = 0;
  readonly #shapes: string[] = [];
  readonly #numbers = new Map<string, number>();
  /** Modules by the numbers of their functions. */
  readonly #makers = new Map<number, Part>();
  /** What was used last comes first. */
  readonly #regions = new Map<number, Entry[]>();
  readonly #used = new Set<Entry>();
  #newBytes = 0;
  /** Something was added since `content()` was asked for. */
  changed = false;

  /** `open`: what `content()` of an earlier run gave; asked for when it is needed. `mostBytes`: of `content()`, its index aside. */
  constructor(open: () => KeptBytes | undefined, mostBytes = MOST_BYTES) {
    this.#open = open;
    this.#mostBytes = mostBytes;
  }

  #load(): void {
    if (this.#opened) return;
    this.#opened = true;
    try {
      this.#file = this.#open();
      if (this.#file === undefined) return;
      const start = this.#file.read(0, 2 * LENGTH_BYTES);
      const [length, check] = [wordAt(start, 0), wordAt(start, LENGTH_BYTES)];
      const index = this.#file.read(start.length, length);
      if (checkOf(index) !== check) return;
      this.#take(JSON.parse(new TextDecoder().decode(index)) as Index);
      this.#start = start.length + length;
    } catch {
      // A file that is damaged is none.
    }
  }
  #take({ shapes, makers, regions }: Index): void {
    for (const shape of shapes) this.#numbers.set(shape, this.#shapes.push(shape) - 1);
    for (const { numbers, ...part } of makers) for (const number of numbers) this.#makers.set(number, part);
    for (const { key, ...part } of regions) this.#alike(key).push({ key, part });
  }
  /** Nothing more is read. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #alike(key: number): Entry[] {
    let entries = this.#regions.get(key);
    if (entries === undefined) this.#regions.set(key, (entries = []));
    return entries;
  }
  /** The bytes of a part; undefined where they cannot be read. */
  #bytesOf(part: Part): Uint8Array | undefined {
    if (part instanceof Uint8Array) return part;
    try {
      return this.#file?.read(this.#start + part.at, part.length);
    } catch {
      return undefined;
    }
  }
  /** The same; undefined where they are damaged. */
  #read(part: Part): Uint8Array | undefined {
    const bytes = this.#bytesOf(part);
    if (bytes === undefined || part instanceof Uint8Array) return bytes;
    return checkOf(bytes) === part.check ? bytes : undefined;
  }

  /** There may be a region of a key. */
  has(key: number): boolean {
    this.#load();
    return this.#regions.has(key);
  }
  /** The first region of a key that is accepted. */
  find(key: number, accepts: (region: KeptRegion) => boolean): KeptRegion | undefined {
    this.#load();
    for (const entry of this.#regions.get(key) ?? []) {
      const bytes = this.#read(entry.part);
      if (bytes === undefined) continue;
      const [head, rest] = taken<RegionHead>(bytes);
      const codeLength = head.blocks.reduce((sum, { length }) => sum + length, 0);
      const region = { ...head, code: rest.subarray(0, codeLength), wasm: rest.slice(codeLength) };
      if (!accepts(region)) continue;
      this.#used.add(entry);
      return region;
    }
    return undefined;
  }
  add(key: number, { code, wasm, ...head }: KeptRegion): void {
    const part = packed(head satisfies RegionHead, code, wasm);
    if (!this.#fits(part)) return;
    const alike = this.#alike(key);
    const entry = { key, part };
    alike.unshift(entry);
    this.#used.add(entry);
    for (const old of alike.splice(MOST_ALIKE)) this.#used.delete(old);
  }
  #fits(part: Uint8Array): boolean {
    if (this.#newBytes + part.length > MOST_NEW_BYTES) return false;
    this.#newBytes += part.length;
    this.changed = true;
    return true;
  }

  /** The number of the function that makes flags of a shape; undefined when there are too many. */
  makerOf(shape: string): number | undefined {
    this.#load();
    const known = this.#numbers.get(shape);
    if (known !== undefined || this.#shapes.length === MOST_MAKERS) return known;
    const number = this.#shapes.push(shape) - 1;
    this.#numbers.set(shape, number);
    return number;
  }
  /** The module that has a function. */
  makersWith(number: number): KeptMakers | undefined {
    const part = this.#makers.get(number);
    return part === undefined ? undefined : this.#makersOf(part);
  }
  #makersOf(part: Part): KeptMakers | undefined {
    const bytes = this.#read(part);
    if (bytes === undefined) return undefined;
    const [head, rest] = taken<MakersHead>(bytes);
    return { ...head, bytes: rest.slice() };
  }
  addMakers({ bytes, imports, numbers }: KeptMakers): void {
    const part = packed({ imports, numbers } satisfies MakersHead, bytes);
    if (!this.#fits(part)) return;
    for (const number of numbers) this.#makers.set(number, part);
  }

  /** What the next run may open: what this one used, then the rest, as far as there is room. */
  content(): Uint8Array {
    this.changed = false;
    const parts: Uint8Array[] = [];
    let length = 0;
    const put = (part: Part): Place | undefined => {
      const bytes = this.#bytesOf(part);
      if (bytes === undefined || length + bytes.length > this.#mostBytes) return undefined;
      const place = {
        at: length,
        length: bytes.length,
        check: part instanceof Uint8Array ? checkOf(bytes) : part.check,
      };
      length += bytes.length;
      parts.push(bytes);
      return place;
    };
    const makers = this.#mergedMakers().flatMap(({ numbers, ...assembly }) => {
      const place = put(packed({ imports: assembly.imports, numbers } satisfies MakersHead, assembly.bytes));
      return place === undefined ? [] : [{ ...place, numbers }];
    });
    const rest = [...this.#regions.values()].flat().filter((entry) => !this.#used.has(entry));
    const regions = [...[...this.#used].reverse(), ...rest].flatMap(({ key, part }) => {
      const place = put(part);
      return place === undefined ? [] : [{ ...place, key }];
    });
    const index = encoded({ shapes: this.#shapes, makers, regions } satisfies Index);
    return joined([word(index.length), word(checkOf(index)), index, ...parts]);
  }
  /** The modules of functions that make flags: one of all that need nothing else. */
  #mergedMakers(): KeptMakers[] {
    const all = [...new Set(this.#makers.values())].flatMap((part) => this.#makersOf(part) ?? []);
    const [alone, others] = [true, false].map((b) => all.filter(({ imports }) => (imports.length === 0) === b));
    if (alone.length < 2) return all;
    const numbers = [...new Set(alone.flatMap((m) => m.numbers))];
    const named = alone.map(({ bytes, numbers: its }) => {
      const names = new Map(its.map((number, i) => [calleeName(i), calleeName(numbers.indexOf(number))]));
      return { bytes, name: (exported: string) => names.get(exported)! };
    });
    return [{ ...merge(named), numbers }, ...others];
  }
}

const wordAt = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
function word(value: number): Uint8Array {
  const bytes = new Uint8Array(LENGTH_BYTES);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
const encoded = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

function packed(head: unknown, ...rest: readonly Uint8Array[]): Uint8Array {
  const text = encoded(head);
  return joined([word(text.length), text, ...rest]);
}
function taken<Head>(bytes: Uint8Array): readonly [Head, Uint8Array] {
  const end = LENGTH_BYTES + wordAt(bytes, 0);
  return [JSON.parse(new TextDecoder().decode(bytes.subarray(LENGTH_BYTES, end))) as Head, bytes.subarray(end)];
}
