/** The toy third-generation machines as architectures for the classifier. */
import { IrBuilder } from '../ir/builder.ts';
import type { State, StateFile } from '../ir/types.ts';
import { MODE, REGISTERS, STATES, TOY_MACHINES, type ToyInstruction, TRAP, USER } from '../toy/machine.ts';
import type { Architecture, Case, Known, NamedBits, StateMap } from './model.ts';
import { maskOf, type Source } from './value.ts';

const TITLES: Readonly<Record<keyof typeof TOY_MACHINES, string>> = {
  toy: 'A third-generation machine in the model of Popek and Goldberg',
  'toy-jrst': 'The same machine with an unprivileged return to user mode (JRST 1)',
  'toy-lra': 'The same machine with an unprivileged load of real addresses',
};

class ToyStateMap implements StateMap {
  readonly #sources = new Map<State, Source>(STATES.map((s) => [s, { name: s.name, class: s.class }]));
  readonly #registers: Source = { name: REGISTERS.name, class: REGISTERS.class };

  at(offset: number, bytes: number): readonly NamedBits[] {
    if (offset < REGISTERS.size) return [{ source: this.#registers, mask: maskOf(bytes * 8) }];
    const state = STATES.find((s) => s.offset === offset);
    return state === undefined ? [] : [{ source: this.#sources.get(state)!, mask: maskOf(bytes * 8) }];
  }
  file(_file: StateFile): Source {
    return this.#registers;
  }
  vectorName(vector: number): string {
    const names = Object.entries(TRAP).find(([, n]) => n === vector);
    return `a ${names?.[0] ?? 'nameless'} trap`;
  }
  externalText(): string {
    return 'a device';
  }
}

const STATE_MAP = new ToyStateMap();
const mode = (value: bigint, mask = maskOf(32)): Known => ({ offset: MODE.offset, width: 32, mask, value });

function caseOf(i: ToyInstruction): Case {
  const b = new IrBuilder();
  i.semantics(b);
  const body = { statements: b.statements, fields: {} };
  return { name: i.name, form: '', encoding: i.meaning, bodies: () => [body] };
}

export const TOY_NAMES = Object.keys(TOY_MACHINES) as readonly (keyof typeof TOY_MACHINES)[];

export function toyArchitecture(name: keyof typeof TOY_MACHINES): Architecture {
  return {
    name,
    title: TITLES[name],
    description:
      'State is S = (E, M, P, R): storage, mode, program counter, relocation-bounds register; every address is relative to R and checked against it.',
    states: STATE_MAP,
    groups: [
      ['Mode', /^M$/],
      ['Relocation', /^R\./],
      ['Devices and the running of the processor', /^startIo$|^the running/],
    ],
    contexts: {
      user: { name: 'user', known: [mode(USER)] },
      supervisor: { name: 'supervisor', known: [mode(0n)] },
      any: { name: 'any', known: [mode(0n, ~1n & maskOf(32))] },
    },
    cases: () => TOY_MACHINES[name].map(caseOf),
  };
}
