/** Makes modules of procedures and handlers as they are needed; what one module has, the next imports. */
import { walk } from '../../isa/ir/builder.ts';
import type { External, Procedure, Statement, Type } from '../../isa/ir/types.ts';
import { ByteWriter, ModuleBuilder, OP, type Signature } from './encoder.ts';
import { Lowering } from './lowering.ts';
import { WASM_TYPE } from './op-code.ts';
import { OWN_ANSWERS } from './page-blocks.ts';
import { slowLoad, slowStore } from './slow-path.ts';
import { Locals, type Target, withLocals } from './target.ts';
import type { TranslationEvents } from './translation-events.ts';

type Callable = Procedure | External;

export interface LinkerOptions {
  readonly memory: WebAssembly.Memory;
  readonly pages: number;
  readonly table: WebAssembly.Table;
  readonly cpuBase: number;
  /** Functions of the host by name. */
  readonly externals: Readonly<Record<string, (...args: never[]) => unknown>>;
  readonly events: TranslationEvents;
}

/** One module in the making. */
export interface ModuleParts {
  readonly builder: ModuleBuilder;
  readonly cpuBase: number;
  functionIndex(target: Callable): number;
}

const signatureOf = (c: { parameters: readonly Type[]; results: readonly Type[] }): Signature => ({
  parameters: c.parameters.map((t) => WASM_TYPE[t]),
  results: c.results.map((t) => WASM_TYPE[t]),
});

const answered = (c: Callable): Callable => (c.kind === 'external' ? (OWN_ANSWERS.get(c) ?? c) : c);

/** What a body calls, the slow paths of its memory accesses included. */
function callsOf(body: readonly Statement[]): ReadonlySet<Callable> {
  const known = calls.get(body);
  if (known !== undefined) return known;
  const found = new Set<Callable>();
  for (const s of walk(body)) {
    if (s.kind === 'call') found.add(answered(s.target));
    else if (s.kind === 'load') found.add(slowLoad(s.type, s.access, s.forWrite));
    else if (s.kind === 'store') found.add(slowStore(s.value.type, s.access));
  }
  calls.set(body, found);
  return found;
}
/** A block may be part of several regions. */
const calls = new WeakMap<readonly Statement[], ReadonlySet<Callable>>();

export class Linker {
  readonly #options: LinkerOptions;
  readonly #functions = new Map<Procedure, unknown>();

  constructor(options: LinkerOptions) {
    this.#options = options;
  }

  /**
   * Builds a module with what `bodies` and `also` call, and with what `define` adds; returns its exports. New procedures are part of it
   * and known afterwards.
   */
  build(
    bodies: Iterable<readonly Statement[]>,
    also: readonly Callable[],
    define: (m: ModuleParts) => void,
  ): Record<string, unknown> {
    const needed = this.#closure(bodies, also);
    const builder = new ModuleBuilder();
    const { memory, pages, table, cpuBase, externals, events } = this.#options;
    builder.importMemory('e', 'm', pages);
    builder.importTable('e', 't');
    const indices = new Map<Callable, number>();
    const imports: Record<string, unknown> = { m: memory, t: table };
    const fresh: Procedure[] = [];
    for (const c of needed) {
      const known = c.kind === 'external' ? externals[c.name] : this.#functions.get(c);
      if (known === undefined && c.kind === 'procedure') fresh.push(c);
      else if (known === undefined) throw new Error(`the host has no ${c.name}`);
      else {
        imports[c.name] = known;
        indices.set(c, builder.importFunction('e', c.name, signatureOf(c)));
      }
    }
    for (const p of fresh) indices.set(p, builder.declare(signatureOf(p)));
    const functionIndex = (c: Callable): number => {
      const index = indices.get(answered(c));
      if (index === undefined) throw new Error(`${c.name} was not collected`);
      return index;
    };
    for (const p of fresh) {
      builder.define(indices.get(p)!, lowerProcedure(p, cpuBase, functionIndex));
      builder.exportFunction(p.name, indices.get(p)!);
    }
    define({ builder, cpuBase, functionIndex });
    const bytes = builder.finish();
    const startMs = events.now();
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { e: imports });
    events.moduleMade(bytes.length, startMs);
    for (const p of fresh) this.#functions.set(p, exports[p.name]);
    return exports;
  }

  /** A procedure as a function of the host. */
  procedure(p: Procedure): unknown {
    if (!this.#functions.has(p)) this.build([], [p], () => {});
    return this.#functions.get(p);
  }

  #closure(bodies: Iterable<readonly Statement[]>, also: readonly Callable[]): ReadonlySet<Callable> {
    const needed = new Set<Callable>();
    const add = (c: Callable): void => {
      if (needed.has(c)) return;
      needed.add(c);
      if (c.kind === 'procedure' && !this.#functions.has(c)) for (const inner of callsOf(c.body())) add(inner);
    };
    for (const c of also) add(c);
    for (const body of bodies) for (const c of callsOf(body)) add(c);
    return needed;
  }
}

function lowerProcedure(p: Procedure, cpuBase: number, functionIndex: (c: Callable) => number): Uint8Array {
  const code = new ByteWriter();
  const locals = new Locals(p.parameters.length);
  const fail = (): never => {
    throw new Error(`${p.name}: a procedure has no fields and does not end instructions`);
  };
  const zeros = (out: ByteWriter): void => {
    for (const t of p.results) pushZero(out, t);
    out.byte(OP.return);
  };
  const target: Target = {
    cpuBase,
    functionIndex,
    field: fail,
    beforeCall: () => {},
    fault: zeros,
    jump: fail,
    exit: fail,
    return: (out) => out.byte(OP.return),
  };
  new Lowering(code, locals, target).body(p.body());
  // Every path of a body with results ends in a return.
  if (p.results.length > 0) code.byte(OP.unreachable);
  code.byte(OP.end);
  return withLocals(locals, code);
}

function pushZero(out: ByteWriter, type: Type): void {
  switch (WASM_TYPE[type]) {
    case 'i32':
      out.byte(OP.i32_const);
      out.byte(0);
      break;
    case 'i64':
      out.byte(OP.i64_const);
      out.byte(0);
      break;
    case 'f32':
    case 'f64':
      out.byte(WASM_TYPE[type] === 'f32' ? OP.f32_const : OP.f64_const);
      for (let i = 0; i < (type === 'f32' ? 4 : 8); i++) out.byte(0);
      break;
    case 'v128':
      out.byte(0xfd);
      out.u32(12);
      for (let i = 0; i < 16; i++) out.byte(0);
      break;
  }
}
