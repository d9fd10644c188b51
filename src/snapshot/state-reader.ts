/** State out of a snapshot. Nothing in it is trusted: each field must be there, be of its type and in its range, and none too many. */
import type { Alarm, Clock } from '../devices/contract.ts';
import type { Stateful, StateTransfer } from '../devices/state.ts';
import { fromHex } from '../hex.ts';
import { snapshotProblem } from './problem.ts';

const MOST_BIG_DIGITS = 39;
const MOST_NS = 2n ** 63n;
const MOST_ORDER = 2 ** 52;

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

class StateReader implements StateTransfer {
  readonly restoring = true;
  readonly #where: string;
  readonly #fields: Fields;
  readonly #read = new Set<string>();

  /** `where` names the state in messages. */
  constructor(where: string, fields: unknown) {
    this.#where = where;
    if (!isFields(fields)) throw snapshotProblem(`${where} has no fields`);
    this.#fields = fields;
  }

  #wrong(name: string, wanted: string): never {
    throw snapshotProblem(`${this.#where}.${name} is not ${wanted}`);
  }
  #field(name: string): unknown {
    this.#read.add(name);
    if (!Object.hasOwn(this.#fields, name)) throw snapshotProblem(`${this.#where}.${name} is missing`);
    return this.#fields[name];
  }

  /** Every field was asked for. */
  finish(): void {
    const rest = Object.keys(this.#fields).find((name) => !this.#read.has(name));
    if (rest !== undefined) throw snapshotProblem(`${this.#where}.${rest} is unknown`);
  }

  integer(name: string, _value: number, least: number, most: number): number {
    const value = this.#field(name);
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most)
      this.#wrong(name, `a whole number from ${least} to ${most}`);
    return value as number;
  }
  byte(name: string, value: number): number {
    return this.integer(name, value, 0, 0xff);
  }
  word(name: string, value: number): number {
    return this.integer(name, value, 0, 0xffff);
  }
  doubleword(name: string, value: number): number {
    return this.integer(name, value, 0, 0xffff_ffff);
  }
  big(name: string): bigint {
    const value = this.#field(name);
    if (typeof value !== 'string' || value.length > MOST_BIG_DIGITS + 1 || !/^-?\d+$/.test(value))
      this.#wrong(name, 'a whole number');
    return BigInt(value as string);
  }
  flag(name: string): boolean {
    const value = this.#field(name);
    if (typeof value !== 'boolean') this.#wrong(name, 'true or false');
    return value as boolean;
  }
  choice<T extends string>(name: string, _value: T, choices: readonly T[]): T {
    const value = this.#field(name);
    const chosen = choices.find((choice) => choice === value);
    if (chosen === undefined) this.#wrong(name, `one of ${choices.join(', ')}`);
    return chosen as T;
  }
  optional(name: string, value: number | undefined, least: number, most: number): number | undefined {
    return this.#field(name) === null ? undefined : this.integer(name, value ?? least, least, most);
  }
  bytes(name: string, _value: Uint8Array, most: number): Uint8Array {
    const text = this.#field(name);
    const bytes = typeof text === 'string' && text.length <= 2 * most ? fromHex(text) : undefined;
    if (bytes === undefined) this.#wrong(name, `at most ${most} bytes in hexadecimal`);
    return bytes as Uint8Array;
  }
  file(name: string, file: Uint8Array): void {
    const bytes = this.bytes(name, file, file.length);
    if (bytes.length !== file.length) this.#wrong(name, `${file.length} bytes in hexadecimal`);
    file.set(bytes);
  }
  part(name: string, carry: (state: StateTransfer) => void): void {
    readFields(`${this.#where}.${name}`, this.#field(name), carry);
  }
  list(name: string, _length: number, most: number, carry: (state: StateTransfer, index: number) => void): number {
    const parts = this.#field(name);
    if (!Array.isArray(parts) || parts.length > most) this.#wrong(name, `a list of at most ${most}`);
    const list = parts as unknown[];
    for (const [i, part] of list.entries())
      readFields(`${this.#where}.${name}[${i}]`, part, (state) => carry(state, i));
    return list.length;
  }
  alarm(name: string, clock: Clock, _alarm: Alarm | undefined, ring: () => void): Alarm | undefined {
    if (this.#field(name) === null) return undefined;
    let ns = 0n;
    let order = 0;
    this.part(name, (state) => {
      ns = state.big('ns', 0n);
      order = state.integer('order', 0, 0, MOST_ORDER);
      state.require(ns >= 0n && ns < MOST_NS, 'it rings at no time');
    });
    return clock.at({ ns, order }, ring);
  }
  require(fits: boolean, problem: string): void {
    if (!fits) throw snapshotProblem(`${this.#where}: ${problem}`);
  }
}

function readFields(where: string, fields: unknown, carry: (state: StateTransfer) => void): void {
  const reader = new StateReader(where, fields);
  carry(reader);
  reader.finish();
}

/** @throws UserError when the fields are not such a state. */
export function restoreState(where: string, fields: unknown, into: Stateful): void {
  readFields(where, fields, (state) => into.transferState(state));
}
