/** Makes modules of procedures and handlers as they are needed, or takes them from a store; what one module has, the next imports. */
import type { External, Procedure } from '../../isa/ir/types.ts';
import {
  type Assembly,
  assemble,
  assembleCaller,
  IMPORTS,
  LATE_STUBS,
  MEMORY,
  type ModulePlan,
  TABLE,
} from './assembly.ts';
import type { CodeStore, Note, StoredModule } from './code-store.ts';
import { LATE_PROCEDURES, makeLate, placeOf } from './late-procedures.ts';
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

const NO_NUMBERS = {};

/** A module of the engine itself, the same in every run. */
export interface OwnModule {
  readonly plan: ModulePlan;
  /** See `StoredModule`. */
  readonly apart?: boolean;
  /** What else there is to know of it; read when the module is complete. */
  note(): Note;
}

interface OwnExports {
  readonly exports: Exports;
  readonly handler: unknown;
  readonly note: Note;
}

export class Linker {
  readonly #options: LinkerOptions;
  /** What modules import of each other and of the host, as far as any has asked for it: one object for all. */
  readonly #imports: Record<string, unknown> = Object.create(null);
  /** Binaries of the engine itself that are linked. */
  readonly #own = new Map<Uint8Array, Exports>();

  constructor(options: LinkerOptions) {
    this.#options = options;
    this.#imports[MEMORY] = options.memory;
    this.#imports[TABLE] = options.table;
    this.#imports[makeLate.name] = (i: number) =>
      this.#putInPlace(LATE_PROCEDURES[i], this.procedure(LATE_PROCEDURES[i]));
    // Apart: its exports have the names of what is to come.
    const { exports } = this.own('procedures to come', () => ({ plan: LATE_STUBS, apart: true, note: () => null }));
    for (const p of LATE_PROCEDURES) this.#putInPlace(p, exports[p.name]);
  }
  #putInPlace(late: Procedure, f: unknown): void {
    this.#options.table.set(placeOf(late)!, f);
  }

  /** A new module without procedures of its own. */
  assemble(define: ModulePlan['define']): Assembly {
    const need = (c: Procedure | External): void => {
      if (c.kind === 'procedure') this.#make(c);
    };
    return assembleCaller(this.#options.cpuBase, need, define);
  }
  /** All that a module imports can be had. */
  has(imports: readonly string[]): boolean {
    const { externals, store } = this.#options;
    return imports.every((name) => name in this.#imports || name in externals || store.whatHas(name) !== undefined);
  }

  /** The exports of the module of the engine that has a key, its function for the table, and its note. Its procedures are the store's. */
  own(key: string, make: () => OwnModule): OwnExports {
    const { store, cpuBase } = this.#options;
    let module = store.get(key);
    if (module === undefined) {
      const { plan, note, apart = false } = make();
      const isKnown = (p: Procedure): boolean => {
        const owner = store.whatHas(p.name);
        return owner !== undefined && !(apart && owner.apart);
      };
      module = store.add(key, { ...assemble(cpuBase, isKnown, plan), note: note(), apart });
    }
    const exports = this.#linkOwn(module);
    return { exports, handler: exports[module.handler], note: module.note };
  }
  /** One binary may be many modules. */
  #linkOwn(module: StoredModule): Exports {
    let exports = this.#own.get(module.bytes);
    if (exports === undefined) this.#own.set(module.bytes, (exports = this.link(module)));
    return exports;
  }

  /** A procedure as a function of the host. */
  procedure(p: Procedure): unknown {
    this.#make(p);
    return this.#function(p.name);
  }
  #make(p: Procedure): void {
    if (p.name in this.#imports || this.#isStored(p)) return;
    this.own(`procedure ${p.name}`, () => ({ plan: { bodies: [], also: [p], define: () => {} }, note: () => null }));
  }

  #isStored({ name }: Procedure): boolean {
    return this.#options.store.whatHas(name) !== undefined;
  }
  #function(name: string): unknown {
    const { externals, store } = this.#options;
    const known = this.#imports[name] ?? externals[name];
    if (known !== undefined) return known;
    const module = store.whatHas(name);
    if (module === undefined) throw new Error(`the host has no ${name}`);
    return this.#linkOwn(module)[name];
  }

  /** The exports of a module; `numbers`: what it imports besides functions. */
  link({ bytes, imports, procedures }: Assembly, numbers: Readonly<Record<string, number>> = NO_NUMBERS): Exports {
    const { events } = this.#options;
    for (const name of imports) this.#imports[name] ??= this.#function(name);
    Object.assign(this.#imports, numbers);
    const startMs = events.now();
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      [IMPORTS]: this.#imports as WebAssembly.ModuleImports,
    });
    events.moduleMade(bytes.length, startMs);
    for (const name of procedures) this.#imports[name] = exports[name];
    return exports;
  }
}
