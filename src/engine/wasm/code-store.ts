/**
 * The modules that are the engine itself: the same in every run, so that they may be kept. Their procedures are imported by name; a module
 * imports none but those of others in the store.
 *
 * As bytes: the length of the index (4 bytes, lowest first), the index as JSON, then the binaries one after another, with
 * their hints as distances.
 */
import { joined } from '../../joined.ts';
import type { Assembly } from './assembly.ts';
import { packHints, unpackHints } from './branch-hints.ts';

/** Plain data. */
export type Note = null | string | readonly string[];

export interface StoredModule extends Assembly {
  readonly note: Note;
  /** It is one of those of which a guest needs hardly ever more than one: they do not import each other's procedures. */
  readonly apart: boolean;
}

type IndexEntry = Omit<StoredModule, 'bytes'> & { readonly key: string; readonly length: number };

const LENGTH_BYTES = 4;

export class CodeStore {
  readonly #modules = new Map<string, StoredModule>();
  readonly #owners = new Map<string, StoredModule>();
  /** Something was added. */
  changed = false;

  /** What `content()` of another gave. The host answers for its integrity: it is code. */
  static from(content: Uint8Array): CodeStore {
    const store = new CodeStore();
    const length = new DataView(content.buffer, content.byteOffset).getUint32(0, true);
    let at = LENGTH_BYTES + length;
    const index = JSON.parse(new TextDecoder().decode(content.subarray(LENGTH_BYTES, at))) as readonly IndexEntry[];
    for (const { key, length, ...entry } of index) {
      store.#put(key, { ...entry, bytes: unpackHints(content.slice(at, at + length)) });
      at += length;
    }
    return store;
  }

  content(): Uint8Array {
    const parts = [...this.#modules.values()].map(({ bytes }) => packHints(bytes));
    const entries = [...this.#modules].map(([key, { bytes, ...entry }], i) => ({
      ...entry,
      key,
      length: parts[i]!.length,
    }));
    const index = new TextEncoder().encode(JSON.stringify(entries satisfies readonly IndexEntry[]));
    const length = new Uint8Array(LENGTH_BYTES);
    new DataView(length.buffer).setUint32(0, index.length, true);
    return joined([length, index, ...parts]);
  }

  /** Another store with the modules of some keys, but for those that import from the rest. */
  only(wanted: (key: string) => boolean): CodeStore {
    const store = new CodeStore();
    const has = (name: string): boolean => this.#owners.has(name) === store.#owners.has(name);
    // A module is younger than those that it imports from.
    for (const [key, module] of this.#modules) if (wanted(key) && module.imports.every(has)) store.add(key, module);
    return store;
  }

  get(key: string): StoredModule | undefined {
    return this.#modules.get(key);
  }
  /** The module that exports a procedure. */
  whatHas(procedure: string): StoredModule | undefined {
    return this.#owners.get(procedure);
  }
  add(key: string, module: StoredModule): void {
    this.#put(key, module);
    this.changed = true;
  }
  #put(key: string, module: StoredModule): void {
    this.#modules.set(key, module);
    for (const name of module.procedures) this.#owners.set(name, module);
  }
}
