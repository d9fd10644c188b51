/**
 * The modules that are the engine itself: the same in every run, so that they may be kept. Their procedures are imported by name; a module
 * imports none but those of older ones in the store.
 *
 * As bytes: the length of the index (4 bytes, lowest first), the index as JSON, then the binaries one after another, with
 * their hints as distances. What was made one after another may be one binary there.
 */
import { joined } from '../../joined.ts';
import { type Assembly, HANDLER, merge } from './assembly.ts';
import { packHints, unpackHints } from './branch-hints.ts';

/** Plain data. */
export type Note = null | string | readonly string[];

export interface StoredModule extends Assembly {
  readonly note: Note;
  /**
   * It is one of those of which a guest needs hardly ever more than one: they do not import each other's procedures, and are no part of another
   * binary.
   */
  readonly apart: boolean;
  /** The export that is the function for the table, if there is one. */
  readonly handler: string;
}

/** A binary with the modules that it is made of. */
interface IndexEntry extends Omit<Assembly, 'bytes'> {
  readonly keys: readonly (readonly [key: string, note: Note, handler: string])[];
  readonly apart: boolean;
  readonly length: number;
}
/** The same in the making. */
interface Binary extends Omit<IndexEntry, 'length'> {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

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
    for (const { keys, length, ...entry } of index) {
      const bytes = unpackHints(content.slice(at, at + length));
      for (const [key, note, handler] of keys) store.#put(key, { ...entry, bytes, note, handler });
      at += length;
    }
    return store;
  }

  /** `merged`: what was made one after another is one module, but for those that stay apart. */
  content(merged = true): Uint8Array {
    const binaries = merged ? groupsOf(this.#binaries()).map(mergedOf) : this.#binaries();
    const parts = binaries.map(({ bytes }) => packHints(bytes));
    const entries = binaries.map(({ keys, imports, procedures, apart }, i) => ({
      ...{ keys, imports, procedures, apart },
      length: parts[i].length,
    }));
    const index = new TextEncoder().encode(JSON.stringify(entries satisfies readonly IndexEntry[]));
    const length = new Uint8Array(LENGTH_BYTES);
    new DataView(length.buffer).setUint32(0, index.length, true);
    return joined([length, index, ...parts]);
  }
  /** The oldest first. */
  #binaries(): Binary[] {
    const found = new Map<Uint8Array, Binary>();
    for (const [key, { note, handler, ...module }] of this.#modules) {
      const { keys } = found.get(module.bytes) ?? { keys: [] };
      found.set(module.bytes, { ...module, keys: [...keys, [key, note, handler]] });
    }
    return [...found.values()];
  }

  /** Another store with the modules of some keys, but for those that import from the rest. What is one binary stays together. */
  only(wanted: (key: string) => boolean): CodeStore {
    const store = new CodeStore();
    const has = (name: string): boolean => this.#owners.has(name) === store.#owners.has(name);
    // A module is younger than those that it imports from.
    for (const [key, module] of this.#modules) if (wanted(key) && module.imports.every(has)) store.#put(key, module);
    store.changed = true;
    return store;
  }

  get(key: string): StoredModule | undefined {
    return this.#modules.get(key);
  }
  /** The module that exports a procedure. */
  whatHas(procedure: string): StoredModule | undefined {
    return this.#owners.get(procedure);
  }
  add(key: string, module: Omit<StoredModule, 'handler'>): StoredModule {
    const stored = { ...module, handler: HANDLER };
    this.#put(key, stored);
    this.changed = true;
    return stored;
  }
  #put(key: string, module: StoredModule): void {
    this.#modules.set(key, module);
    for (const name of module.procedures) this.#owners.set(name, module);
  }
}

/** What may be one binary: neighbours that do not stay apart. */
function groupsOf(binaries: readonly Binary[]): Binary[][] {
  const groups: Binary[][] = [];
  for (const binary of binaries) {
    const last = groups.at(-1);
    if (last === undefined || last[0].apart || binary.apart) groups.push([binary]);
    else last.push(binary);
  }
  return groups;
}
function mergedOf(group: readonly Binary[]): Binary {
  if (group.length === 1) return group[0];
  const named = group.map(({ bytes, keys }) => ({
    bytes,
    // Only what is alone in its binary has its function for the table under this name.
    name: (exported: string) => (exported === HANDLER ? keys[0][0] : exported),
  }));
  return {
    ...merge(named),
    procedures: group.flatMap(({ procedures }) => procedures),
    keys: group.flatMap(({ keys }) => keys.map(([key, note]) => [key, note, key] as const)),
    apart: false,
  };
}
