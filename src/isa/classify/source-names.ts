/** What the processor looks at beside registers: tables in memory, and what is outside of it. One source for each. */
import type { External } from '../ir/types.ts';
import type { StateMap } from './model.ts';
import type { Abstract, Source } from './value.ts';

export class SourceNames {
  readonly #states: StateMap;
  readonly #tables = new Map<string, Source>();
  /** Registers that say where a table lies. */
  readonly #roots = new Map<Source, readonly string[]>();
  readonly #externals = new Map<External, Source>();

  constructor(states: StateMap) {
    this.#states = states;
  }

  /** Memory that the processor reads for itself, by what its address comes from in the end. */
  table(address: Abstract): Source {
    const roots = new Set([...address.taint.keys()].flatMap((s) => this.#roots.get(s) ?? [s.name]));
    const names = [...roots].sort();
    const name = names.length === 0 ? 'memory read as supervisor' : `the tables at ${names.join(', ')}`;
    let source = this.#tables.get(name);
    if (source === undefined) {
      source = { name, class: 'control' };
      this.#tables.set(name, source);
      this.#roots.set(source, names);
    }
    return source;
  }

  external(target: External): Source {
    let source = this.#externals.get(target);
    if (source === undefined) {
      source = { name: target.name, class: target.class, text: this.#states.externalText(target.name) };
      this.#externals.set(target, source);
    }
    return source;
  }
}
