/**
 * Abstract interpretation of an instruction's meaning: all its paths at once, in all states that a context allows.
 *
 * A path that ends in an exception is a trap: control goes to whoever owns the exception table, so what it did or looked at before is no
 * concern of the theory, and neither is that a condition could lead there. Addresses are relative to relocation as in Popek and
 * Goldberg's model: what a load finds does not depend on segment bases and page tables, for the program's memory moves with them.
 */
import type { CallNode, External, FieldName, IfNode, LoopNode, Procedure, Statement, Value } from '../ir/types.ts';
import { isValue, WIDTH } from '../ir/types.ts';
import { describe } from './describe.ts';
import { type Effect, Environment, isSystem } from './environment.ts';
import { Frame } from './frame.ts';
import type { Body, Context, StateMap, TrappingProcedures } from './model.ts';
import { touchesSystem } from './reach.ts';
import { SourceNames } from './source-names.ts';
import { conditionTaint, transfer } from './transfer.ts';
import {
  type Abstract,
  constantOf,
  join,
  known,
  maskOf,
  type Source,
  type Taint,
  UNTAINTED,
  unite,
  unknown,
} from './value.ts';

/** What an instruction may do in the states of a context. */
export interface Footprint {
  /** It can end without a trap. */
  readonly completes: boolean;
  /** Of the paths that end without a trap. */
  readonly effects: readonly Effect[];
  /** Which exceptions there are and when. */
  readonly traps: readonly string[];
  /** Conditions that the context decided, as text, with their outcome. */
  readonly decisions: ReadonlyMap<string, boolean>;
}

const DEEPEST_CALL = 32;
const MOST_ROUNDS = 12;
const PROCESSOR: Source = { name: 'the running of the processor', class: 'control' };

export class Walker {
  readonly #states: StateMap;
  readonly #context: Context;
  readonly #trapping: TrappingProcedures;
  readonly #sources: SourceNames;
  #fields: Body['fields'] = {};
  #ends: Environment[] = [];
  readonly #traps = new Set<string>();
  readonly #decisions = new Map<string, boolean>();

  constructor(states: StateMap, context: Context, trapping: TrappingProcedures = new Set()) {
    this.#states = states;
    this.#sources = new SourceNames(states);
    this.#context = context;
    this.#trapping = trapping;
  }

  walk(body: Body): Footprint {
    this.#fields = body.fields;
    this.#ends = [];
    this.#traps.clear();
    this.#decisions.clear();
    const frame = new Frame([], [], []);
    const end = this.#run(frame, body.statements, new Environment(this.#states, this.#context));
    if (end !== undefined) this.#ends.push(end);
    const effects = new Map<string, Effect>();
    for (const e of this.#ends) for (const [key, effect] of e.effects) effects.set(key, effect);
    return {
      completes: this.#ends.length > 0,
      effects: [...effects.values()],
      traps: [...this.#traps],
      decisions: new Map(this.#decisions),
    };
  }

  /** The environment behind the statements; undefined when no path gets there. */
  #run(frame: Frame, statements: readonly Statement[], start: Environment): Environment | undefined {
    let environment: Environment | undefined = start;
    for (const s of statements) {
      if (isValue(s)) frame.values.set(s, this.#compute(frame, s, environment));
      else environment = this.#effect(frame, s, environment);
      if (environment === undefined) return undefined;
    }
    return environment;
  }

  // --- values -------------------------------------------------------------------------------------------------------------------

  #of(frame: Frame, v: Value): Abstract {
    const value = frame.values.get(v);
    if (value === undefined) throw new Error(`IR value ${v.kind} used before it was computed`);
    return value;
  }

  #compute(frame: Frame, v: Value, env: Environment): Abstract {
    const width = WIDTH[v.type];
    switch (v.kind) {
      case 'const':
        return known(width, v.value);
      case 'field': {
        const value = this.#fields[v.name as FieldName];
        return value === undefined ? unknown(width) : known(width, value);
      }
      case 'op': {
        const args = v.args.map((a) => this.#of(frame, a));
        if (v.op === 'select') this.#noteDecision(frame, v.args[0]);
        return transfer(v, args);
      }
      case 'get':
        return env.read(v.state.offset, width, v.state.class);
      case 'getAt': {
        const at = constantOf(this.#of(frame, v.at));
        if (at === undefined) return env.readSome(v.file, width);
        return env.read(v.file.offset + Number(at), width, this.#classAt(v.file.offset + Number(at), v.file.class));
      }
      case 'readVariable':
        return env.variables.get(v.variable.id) ?? unknown(width);
      case 'load':
        if (v.access !== 'supervisor') return unknown(width);
        return unknown(width, new Map([[this.#sources.table(this.#of(frame, v.address)), maskOf(width)]]));
      case 'loadPhysical':
        return unknown(width, new Map([[this.#sources.table(this.#of(frame, v.address)), maskOf(width)]]));
      case 'result':
        return frame.results.get(v.call)![v.index];
      case 'parameter':
        return frame.parameters[v.index];
      case 'loadRaw':
        return unknown(width);
      default:
        return v satisfies never;
    }
  }

  /** A register inside a file of another class, such as the one for relative addresses. */
  #classAt(offset: number, cls: Source['class']): Source['class'] {
    return this.#states.at(offset, 1)[0]?.source.class ?? cls;
  }

  // --- effects ------------------------------------------------------------------------------------------------------------------

  #effect(frame: Frame, s: Exclude<Statement, Value>, env: Environment): Environment | undefined {
    switch (s.kind) {
      case 'set':
        this.#write(frame, env, s.state.offset, s.state.class, this.#of(frame, s.value));
        return env;
      case 'setAt': {
        const at = constantOf(this.#of(frame, s.at));
        const value = this.#of(frame, s.value);
        if (at !== undefined) {
          const offset = s.file.offset + Number(at);
          this.#write(frame, env, offset, this.#classAt(offset, s.file.class), value);
          return env;
        }
        if (isSystem(s.file.class)) this.#change(frame, env, this.#states.file(s.file));
        else this.#expose(frame, env, value.taint, this.#states.file(s.file).name);
        env.writeSome(s.file, value);
        return env;
      }
      case 'writeVariable':
        env.variables.set(s.variable.id, this.#of(frame, s.value));
        return env;
      case 'store':
        if (s.access === 'supervisor') this.#change(frame, env, this.#sources.table(this.#of(frame, s.address)));
        else this.#expose(frame, env, this.#of(frame, s.value).taint, 'memory');
        return env;
      case 'storePhysical':
        this.#change(frame, env, this.#sources.table(this.#of(frame, s.address)));
        return env;
      case 'storeRaw':
      case 'copyRaw':
      case 'fillRaw':
        return env;
      case 'call':
        return this.#call(frame, s, env);
      case 'if':
        return this.#if(frame, s, env);
      case 'loop':
        return this.#loop(frame, s, env);
      default:
        this.#leave(frame, s, env);
        return undefined;
    }
  }

  #leave(
    frame: Frame,
    s: Extract<Statement, { kind: 'break' | 'return' | 'raise' | 'jump' | 'exit' }>,
    env: Environment,
  ): void {
    switch (s.kind) {
      case 'break': {
        const list = frame.breaks.get(s.loop) ?? [];
        list.push(env);
        frame.breaks.set(s.loop, list);
        break;
      }
      case 'return':
        frame.returns.push({ environment: env, values: s.values.map((v) => this.#of(frame, v)) });
        break;
      case 'raise': {
        for (const vector of fewValues(this.#of(frame, s.vector)))
          this.#traps.add(vector === undefined ? 'an exception' : this.#states.vectorName(Number(vector)));
        break;
      }
      case 'jump':
        this.#expose(frame, env, this.#of(frame, s.target).taint, 'the instruction pointer');
        this.#ends.push(env);
        break;
      case 'exit':
        this.#change(frame, env, PROCESSOR);
        this.#ends.push(env);
        break;
      default:
        s satisfies never;
    }
  }

  /** The program sees values that depend on `taint`, at a place that it sees only because this path was taken. */
  #expose(frame: Frame, env: Environment, taint: Taint, to: string): void {
    const { path } = frame;
    for (const source of taint.keys()) env.note({ kind: 'exposes', source, to, how: 'value', path });
    for (const source of env.control.keys()) env.note({ kind: 'exposes', source, to, how: 'condition', path });
  }
  #change(frame: Frame, env: Environment, source: Source): void {
    env.note({ kind: 'changes', source, to: '', how: 'value', path: frame.path });
  }

  #write(frame: Frame, env: Environment, offset: number, cls: Source['class'], value: Abstract): void {
    if (cls === 'engine') return;
    const parts = this.#states.at(offset, value.width / 8);
    if (!isSystem(cls)) {
      this.#expose(frame, env, value.taint, parts[0]?.source.name ?? 'a register');
    } else {
      const old = env.before(offset, value.width, cls);
      const unchanged =
        (value.sameAt === offset ? value.sameMask : 0n) | (value.ones & old.ones) | (value.zeros & old.zeros);
      for (const { source, mask } of parts) if ((mask & ~unchanged) !== 0n) this.#change(frame, env, source);
    }
    env.write(offset, value);
  }

  // --- control ------------------------------------------------------------------------------------------------------------------

  /** Remembers a condition that the context has decided. */
  #noteDecision(frame: Frame, condition: Value): void {
    const value = constantOf(this.#of(frame, condition));
    if (value === undefined || condition.kind === 'const') return;
    this.#decisions.set(describe(this.#states, condition, frame.argument), value === 1n);
  }

  #if(frame: Frame, s: IfNode, env: Environment): Environment | undefined {
    const condition = this.#of(frame, s.condition);
    const decided = constantOf(condition);
    if (decided !== undefined) {
      this.#noteDecision(frame, s.condition);
      return this.#run(frame, decided === 1n ? s.consequent : s.alternate, env);
    }
    const taint = conditionTaint(condition);
    const departures = frame.departures + this.#ends.length;
    const before = env.control;
    const inside = unite(before, taint);
    const other = env.copy();
    env.control = inside;
    other.control = inside;
    const yes = this.#run(frame, s.consequent, env);
    const no = this.#run(frame, s.alternate, other);
    const rest = yes ?? no;
    if (rest === undefined) return undefined;
    if (yes !== undefined && no !== undefined) {
      const control = unite(yes.control, no.control);
      yes.merge(no, taint);
      yes.control = control;
    }
    // Where some path has left for good, being here still depends on the condition; where it has trapped, it does not.
    const someLeft = frame.departures + this.#ends.length > departures;
    if (!someLeft) rest.control = before;
    return rest;
  }

  #loop(frame: Frame, s: LoopNode, env: Environment): Environment | undefined {
    let start = env;
    for (let round = 0; ; round++) {
      frame.breaks.delete(s.id);
      const end = this.#run(frame, s.body, start.copy());
      const next = start.copy();
      if (end !== undefined) {
        next.merge(end, end.control);
        next.control = unite(next.control, end.control);
      }
      // What still changes after some rounds is not worth knowing.
      if (round === MOST_ROUNDS)
        for (const [id, v] of next.variables) next.variables.set(id, unknown(v.width, spreadOf(v)));
      if (end === undefined || next.holds(start) || round > MOST_ROUNDS + 4) break;
      start = next;
    }
    const breaks = frame.breaks.get(s.id) ?? [];
    frame.breaks.delete(s.id);
    return this.#joinAll(breaks);
  }

  /** Paths that meet again; what differs between them depends on how each came about. */
  #joinAll(environments: readonly Environment[]): Environment | undefined {
    const [first, ...rest] = environments;
    if (first === undefined) return undefined;
    const control = environments.reduce((t: Taint, e) => unite(t, e.control), UNTAINTED);
    for (const e of rest) first.merge(e, control);
    first.control = control;
    return first;
  }

  // --- calls --------------------------------------------------------------------------------------------------------------------

  #call(frame: Frame, s: CallNode, env: Environment): Environment | undefined {
    const args = s.args.map((a) => this.#of(frame, a));
    const { target } = s;
    if (target.kind === 'external') {
      frame.results.set(s, this.#external(frame, target, env));
      return env;
    }
    if (this.#trapping.has(target)) {
      this.#traps.add(`VM exit (${target.name})`);
      return undefined;
    }
    const nothing = target.results.map((type) => unknown(WIDTH[type]));
    const plain = args.every((a) => a.taint.size === 0) && env.control.size === 0 && !env.hasTaintedState();
    if (plain && !touchesSystem(target)) {
      frame.results.set(s, nothing);
      env.forgetUserState();
      return env;
    }
    const end = this.#enter(frame, s, target, args, env);
    if (end !== undefined || !s.guarded) return end;
    frame.results.set(s, nothing);
    return env;
  }

  #enter(
    frame: Frame,
    s: CallNode,
    target: Procedure,
    args: readonly Abstract[],
    env: Environment,
  ): Environment | undefined {
    if (frame.path.length > DEEPEST_CALL) throw new Error(`${target.name} calls itself without end`);
    const inner = new Frame(args, [...frame.path, target.name], s.args);
    const start = env.copy();
    start.variables = new Map();
    const last = this.#run(inner, target.body(), start);
    const ways = [...inner.returns];
    if (last !== undefined) ways.push({ environment: last, values: [] });
    const end = this.#joinAll(ways.map((w) => w.environment));
    if (end === undefined) return undefined;
    const { control } = end;
    const results = target.results.map((type, i) => {
      const values = ways.flatMap((w) => (w.values[i] === undefined ? [] : [w.values[i]]));
      return values.length === 0 ? unknown(WIDTH[type]) : values.reduce((a, b) => join(a, b, control));
    });
    frame.results.set(s, results);
    end.variables = env.variables;
    end.control = env.control;
    return end;
  }

  #external(frame: Frame, target: External, env: Environment): readonly Abstract[] {
    const tainted = isSystem(target.class);
    const source = this.#sources.external(target);
    if (tainted && target.changes) this.#change(frame, env, source);
    return target.results.map((type) =>
      unknown(WIDTH[type], tainted ? new Map([[source, maskOf(WIDTH[type])]]) : UNTAINTED),
    );
  }
}

const spreadOf = (v: Abstract): Taint => new Map([...v.taint.keys()].map((s) => [s, maskOf(v.width)]));

/** The values that a value may have, if they are two at most. */
function fewValues(v: Abstract): readonly (bigint | undefined)[] {
  const open = maskOf(v.width) & ~(v.zeros | v.ones);
  if (open === 0n) return [v.ones];
  return (open & (open - 1n)) === 0n ? [v.ones, v.ones | open] : [undefined];
}
