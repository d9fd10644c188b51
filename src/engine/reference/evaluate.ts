/**
 * Evaluates IR with BigInt on the virtual CPU's memory: slow and obvious, the oracle of tests.
 */
import { OPS } from '../../isa/ir/ops.ts';
import {
  type CallNode,
  type External,
  type FieldName,
  isValue,
  type LoadNode,
  type Procedure,
  type Statement,
  type StoreNode,
  type Type,
  type Value,
  WIDTH,
} from '../../isa/ir/types.ts';

/** Where an evaluation reads and writes. Values are bit patterns. */
export interface Environment {
  field(name: FieldName): bigint;
  readState(offset: number, type: Type): bigint;
  writeState(offset: number, type: Type, value: bigint): void;
  /** Throws `GuestFault` after noting the exception, as `fault` does. */
  load(node: LoadNode, address: bigint): bigint;
  store(node: StoreNode, address: bigint, value: bigint): void;
  loadPhysical(type: Type, address: bigint): bigint;
  storePhysical(type: Type, address: bigint, value: bigint): void;
  external(target: External, args: readonly bigint[]): readonly bigint[];
  /** Notes an exception for delivery. */
  fault(vector: number, errorCode: number | undefined): void;
  jump(target: bigint): void;
  exit(reason: number): void;
}

/** The instruction ended in an exception, which the environment has noted. */
export class GuestFault extends Error {
  override readonly name = 'GuestFault';
}

type Completion =
  | { readonly kind: 'return'; readonly values: readonly bigint[] }
  | { readonly kind: 'break'; readonly loop: number };
const ENDED: Completion = { kind: 'return', values: [] };

class Frame {
  readonly #env: Environment;
  readonly #parameters: readonly bigint[];
  readonly #values = new Map<Value, bigint>();
  readonly #results = new Map<CallNode, readonly bigint[]>();
  readonly #variables = new Map<number, bigint>();

  constructor(env: Environment, parameters: readonly bigint[]) {
    this.#env = env;
    this.#parameters = parameters;
  }

  run(statements: readonly Statement[]): Completion | undefined {
    for (const s of statements) {
      if (isValue(s)) {
        this.#values.set(s, this.#compute(s));
        continue;
      }
      const completion = this.#effect(s);
      if (completion !== undefined) return completion;
    }
    return undefined;
  }

  #of(v: Value): bigint {
    const value = this.#values.get(v);
    if (value === undefined) throw new Error(`IR value ${v.kind} used before it was computed`);
    return value;
  }

  #compute(v: Value): bigint {
    const env = this.#env;
    switch (v.kind) {
      case 'const':
        return v.value;
      case 'field':
        return BigInt.asUintN(WIDTH[v.type], env.field(v.name));
      case 'op': {
        const args = v.args.map((a) => this.#of(a));
        const type = v.op === 'select' ? v.type : v.args[0].type;
        return OPS[v.op].evaluate(args, type, v.immediate);
      }
      case 'get':
        return env.readState(v.state.offset, v.type);
      case 'getAt':
        return env.readState(v.file.offset + Number(this.#of(v.at)), v.type);
      case 'readVariable':
        return this.#variables.get(v.variable.id)!;
      case 'load':
        return env.load(v, this.#of(v.address));
      case 'loadPhysical':
        return env.loadPhysical(v.type, this.#of(v.address));
      case 'result':
        return this.#results.get(v.call)![v.index];
      case 'parameter':
        return this.#parameters[v.index];
      case 'loadRaw':
        throw new Error('the reference evaluator has no engine tables');
      default:
        return v satisfies never;
    }
  }

  #effect(s: Exclude<Statement, Value>): Completion | undefined {
    const env = this.#env;
    switch (s.kind) {
      case 'set':
        env.writeState(s.state.offset, s.state.type, this.#of(s.value));
        return undefined;
      case 'setAt':
        env.writeState(s.file.offset + Number(this.#of(s.at)), s.value.type, this.#of(s.value));
        return undefined;
      case 'writeVariable':
        this.#variables.set(s.variable.id, this.#of(s.value));
        return undefined;
      case 'store':
        env.store(s, this.#of(s.address), this.#of(s.value));
        return undefined;
      case 'storePhysical':
        env.storePhysical(s.value.type, this.#of(s.address), this.#of(s.value));
        return undefined;
      case 'storeRaw':
      case 'copyRaw':
      case 'fillRaw':
        throw new Error('the reference evaluator has no engine tables');
      case 'call':
        this.#results.set(s, s.guarded ? this.#guardedCall(s) : this.#call(s.target, s.args));
        return undefined;
      case 'if':
        return this.run(this.#of(s.condition) === 1n ? s.consequent : s.alternate);
      case 'loop':
        return this.#loop(s.id, s.body);
      case 'break':
        return { kind: 'break', loop: s.loop };
      default:
        return this.#end(s);
    }
  }

  #end(s: Extract<Statement, { kind: 'return' | 'raise' | 'jump' | 'exit' }>): Completion {
    switch (s.kind) {
      case 'return':
        return { kind: 'return', values: s.values.map((v) => this.#of(v)) };
      case 'raise': {
        const code = s.errorCode === undefined ? undefined : Number(this.#of(s.errorCode));
        this.#env.fault(Number(this.#of(s.vector)), code);
        throw new GuestFault();
      }
      case 'jump':
        this.#env.jump(this.#of(s.target));
        return ENDED;
      case 'exit':
        this.#env.exit(s.reason);
        return ENDED;
      default:
        return s satisfies never;
    }
  }

  #loop(id: number, body: readonly Statement[]): Completion | undefined {
    for (;;) {
      const completion = this.run(body);
      if (completion === undefined) continue;
      return completion.kind === 'break' && completion.loop === id ? undefined : completion;
    }
  }

  #guardedCall(s: CallNode): readonly bigint[] {
    try {
      return this.#call(s.target, s.args);
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error;
      return s.target.results.map(() => 0n);
    }
  }

  #call(target: Procedure | External, args: readonly Value[]): readonly bigint[] {
    const values = args.map((a) => this.#of(a));
    return target.kind === 'external' ? this.#env.external(target, values) : callProcedure(this.#env, target, values);
  }
}

/** Runs an instruction's body. @throws GuestFault */
export function evaluate(env: Environment, statements: readonly Statement[]): void {
  new Frame(env, []).run(statements);
}

/** Runs a procedure and returns its results. @throws GuestFault */
export function callProcedure(env: Environment, target: Procedure, args: readonly bigint[]): readonly bigint[] {
  const completion = new Frame(env, args).run(target.body());
  return completion?.kind === 'return' ? completion.values : [];
}
