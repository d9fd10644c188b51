/** Makes modules of procedures and handlers as they are needed, or takes them from a store; what one module has, the next imports. */
import type { Procedure } from '../../isa/ir/types.ts';
import { type Assembly, assemble, IMPORTS, MEMORY, type ModulePlan, TABLE } from './assembly.ts';
import type { CodeStore, Note } from './code-store.ts';
import type { TranslationEvents } from './translation-events.ts';

export interface LinkerOptions {
  readonly memory: WebAssembly.Memory;
  readonly table: WebAssembly.Table;
  readonly cpuBase: number;
  /** Functions of the host by name. */
  readonly externals: Readonly<Record<string, (...args: never[]) => unknown>>;
  readonly events: TranslationEvents;
  /** Where the engine's own modules are kept. */
  readonly store: CodeStore;
}

type Exports = Readonly<Record<string, unknown>>;

/** A module of the engine itself, the same in every run. */
export interface OwnModule {
  readonly plan: ModulePlan;
  /** What else there is to know of it; read when the module is complete. */
  note(): Note;
}

export class Linker {
  readonly #options: LinkerOptions;
  /** Procedures by their names. */
  readonly #functions = new Map<string, unknown>();

  constructor(options: LinkerOptions) {
    this.#options = options;
  }

  /** The exports of a new module. New procedures are part of it and known afterwards. */
  build(plan: ModulePlan): Exports {
    return this.#link(assemble(this.#options.cpuBase, (p) => this.#knows(p) || this.#isStored(p), plan));
  }

  /** The exports of the module of the engine that has a key, and its note. Its procedures are the store's. */
  own(key: string, make: () => OwnModule): { readonly exports: Exports; readonly note: Note } {
    const { store, cpuBase } = this.#options;
    let module = store.get(key);
    if (module === undefined) {
      const { plan, note } = make();
      module = { ...assemble(cpuBase, (p) => this.#isStored(p), plan), note: note() };
      store.add(key, module);
    }
    return { exports: this.#link(module), note: module.note };
  }

  /** A procedure as a function of the host. */
  procedure(p: Procedure): unknown {
    if (!this.#knows(p) && !this.#isStored(p))
      this.own(`procedure ${p.name}`, () => ({ plan: { bodies: [], also: [p], define: () => {} }, note: () => null }));
    return this.#function(p.name);
  }

  #knows({ name }: Procedure): boolean {
    return this.#functions.has(name);
  }
  #isStored({ name }: Procedure): boolean {
    return this.#options.store.whatHas(name) !== undefined;
  }
  #function(name: string): unknown {
    const { externals, store } = this.#options;
    const known = this.#functions.get(name) ?? externals[name];
    if (known !== undefined) return known;
    const module = store.whatHas(name);
    if (module === undefined) throw new Error(`the host has no ${name}`);
    return this.#link(module)[name];
  }

  #link({ bytes, imports, procedures }: Assembly): Exports {
    const { memory, table, events } = this.#options;
    const functions = Object.fromEntries(imports.map((name) => [name, this.#function(name)]));
    const startMs = events.now();
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      [IMPORTS]: { ...functions, [MEMORY]: memory, [TABLE]: table },
    });
    events.moduleMade(bytes.length, startMs);
    for (const name of procedures) this.#functions.set(name, exports[name]);
    return exports;
  }
}
