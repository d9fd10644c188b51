/** The functions behind the numbers that records have: cases of the main loops, and functions in the table, made at need. */
import type { Statement } from '../../isa/ir/types.ts';
import { bodyOf } from '../../isa/x86/body.ts';
import type { Decoded } from '../../isa/x86/decoder.ts';
import type { Encoding, Parameters } from '../../isa/x86/definition.ts';
import { ENCODINGS } from '../../isa/x86/instruction-set.ts';
import { deliverFault } from '../../isa/x86/procedures/interrupts.ts';
import { alwaysLeaves, handlerKey, handlerName } from '../bodies.ts';
import type { Instrument } from '../execution-counters.ts';
import { hotPairs } from '../hot-pairs.ts';
import { hotParameters } from '../hot-rows.ts';
import { type Assembly, calleeName, defineExported, defineHandler, HANDLER, type ModuleParts } from './assembly.ts';
import { lowerColdHandler } from './cold-handler.ts';
import { MOST_MAKERS } from './kept-regions.ts';
import { FIRST_LATE, LATE_PROCEDURES } from './late-procedures.ts';
import type { Linker } from './linker.ts';
import { hotBlock, MainLoop, noteFault } from './main-loop.ts';
import type { Signature } from './module-builder.ts';
import { PSEUDO_COUNT } from './record.ts';
import { STACK_PATHS } from './slow-path.ts';
import { findBlock } from './transfer.ts';

type Run = (record: number) => number;
/** The main loop of 64-bit code, or of 16- and 32-bit code, and the numbers of the rows that it has cases for. */
interface Mode {
  readonly run: Run;
  readonly hot: ReadonlyMap<number, Handler>;
  /** Handlers of two rows, by `pairKey` of their own. */
  readonly pairs: ReadonlyMap<number, number>;
}
/** Writes a function; `first`: the handler number of the table's first. */
type Lower = (m: ModuleParts, first: number) => Uint8Array;
/** How a block goes on behind an instruction: it does, it ends there, or it ends because the instruction always jumps. */
type BlockEnd = 'no' | 'jump' | 'block';
export interface Handler {
  readonly number: number;
  readonly end: BlockEnd;
}

const TABLE_STEP = 1024;
/** Behind late procedures are the other functions that have the same places in every run. */
const FIRST_FIXED = FIRST_LATE + LATE_PROCEDURES.length;
const FIRST_FREE = FIRST_FIXED + MOST_MAKERS;
const pairKey = (first: number, second: number): number => first * 65536 + second;

function endOf(encoding: Encoding, body: readonly Statement[]): BlockEnd {
  if (alwaysLeaves(body)) return 'jump';
  return encoding.definition.endsBlock ? 'block' : 'no';
}

/** A function that regions call through the table. */
export interface Callee {
  readonly type: Signature;
  readonly write: (m: ModuleParts) => Uint8Array;
}

export class Handlers {
  readonly #linker: Linker;
  readonly #table: WebAssembly.Table;
  readonly #instrument: Instrument | undefined;
  readonly #modes = new Map<boolean, Mode>();
  readonly #handlers = new Map<number, Handler>();
  #slots = FIRST_FREE;
  #free: number[] = [];

  constructor(linker: Linker, table: WebAssembly.Table, instrument?: Instrument) {
    this.#linker = linker;
    this.#table = table;
    this.#instrument = instrument;
  }

  /** The function that runs code of a mode: start record → exit reason. */
  mainLoop(long: boolean): Run {
    return this.#mode(long).run;
  }

  #body(encoding: Encoding, parameters: Parameters): readonly Statement[] {
    const body = bodyOf(encoding, parameters);
    return this.#instrument?.body(encoding, parameters, body) ?? body;
  }

  /** Makes it where it is the first of its kind. */
  handlerOf({ encoding, parameters }: Decoded): Handler {
    const key = handlerKey(encoding, parameters);
    const known = this.#handlers.get(key);
    if (known !== undefined) return known;
    const handler = this.#mode(parameters.long).hot.get(key) ?? this.#makeCold(encoding, parameters);
    this.#handlers.set(key, handler);
    return handler;
  }
  /** The handler that executes two instructions, by theirs. */
  pairOf(first: number, second: number, long: boolean): number | undefined {
    return this.#mode(long).pairs.get(pairKey(first, second));
  }
  #makeCold(encoding: Encoding, parameters: Parameters): Handler {
    const { handler, note } = this.#linker.own(handlerName(encoding, parameters), () => {
      const body = this.#body(encoding, parameters);
      const define = (parts: ModuleParts): void => defineHandler(parts, (m) => lowerColdHandler(m, body));
      return { plan: { bodies: [body], define }, note: () => endOf(encoding, body) };
    });
    return { number: this.#add(handler, parameters.long), end: note as BlockEnd };
  }

  /** A place in the table for a function to come; none is 0. `fixed`: the number of one that has the same place in every run. */
  reserve(fixed?: number): number {
    const slot = fixed === undefined ? (this.#free.pop() ?? this.#slots++) : FIRST_FIXED + fixed;
    if (slot >= this.#table.length) this.#table.grow(TABLE_STEP);
    return slot;
  }
  /** The module of a function that a record leads to, for code of a mode. */
  assemble(long: boolean, lower: Lower): Assembly {
    return this.#linker.assemble((parts) => defineHandler(parts, (m) => lower(m, this.#firstInTable(long))));
  }
  /** The module of functions that regions call: out of their own modules V8 would put them in line, where they take registers from loops. */
  assembleCallees(callees: readonly Callee[]): Assembly {
    return this.#linker.assemble((m) => {
      const bodies = callees.map(({ write }) => write(m));
      for (const [i, { type }] of callees.entries()) defineExported(m, calleeName(i), type, bodies[i]);
    });
  }
  /** What a module of an earlier run imports can be had. */
  hasAll(imports: readonly string[]): boolean {
    return this.#linker.has(imports);
  }
  /** Puts the function of a module into the table; returns its number. `numbers`: what it imports besides functions. */
  install(assembly: Assembly, long: boolean, numbers: Readonly<Record<string, number>>): number {
    return this.#add(this.#linker.link(assembly, numbers)[HANDLER], long);
  }
  /** Puts the functions of a module of callees into their places. */
  installCallees(assembly: Assembly, places: readonly number[]): void {
    const exports = this.#linker.link(assembly);
    for (const [i, place] of places.entries()) this.#table.set(place, exports[calleeName(i)]);
  }
  #add(handler: unknown, long: boolean): number {
    const slot = this.reserve();
    this.#table.set(slot, handler);
    return this.#firstInTable(long) + slot;
  }
  /** Forgets a function that no record leads to any more. */
  free(number: number, long: boolean): void {
    const slot = number - this.#firstInTable(long);
    this.#table.set(slot, null);
    this.#free.push(slot);
  }
  #firstInTable(long: boolean): number {
    const { hot, pairs } = this.#mode(long);
    return PSEUDO_COUNT + hot.size + pairs.size;
  }

  #mode(long: boolean): Mode {
    const known = this.#modes.get(long);
    if (known !== undefined) return known;
    const rows = ENCODINGS.flatMap((encoding) =>
      hotParameters(encoding, long).map((parameters) => ({ encoding, parameters })),
    );
    const couples = hotPairs(rows, long);
    const { handler, note } = this.#linker.own(`main loop of ${long ? '64' : '16 and 32'} bits`, () => {
      const bodies = rows.map(({ encoding, parameters }) => this.#body(encoding, parameters));
      const define = (parts: ModuleParts): void =>
        defineHandler(parts, (m) => new MainLoop(m, bodies, couples, long).write());
      const plan = { bodies, also: [deliverFault, findBlock, hotBlock, noteFault, ...STACK_PATHS], define };
      return { plan, apart: true, note: () => rows.map(({ encoding }, i) => endOf(encoding, bodies[i])) };
    });
    const ends = note as readonly BlockEnd[];
    const hot = new Map(
      rows.map(({ encoding, parameters }, i) => [
        handlerKey(encoding, parameters),
        { number: PSEUDO_COUNT + i, end: ends[i] } satisfies Handler,
      ]),
    );
    const numbers = couples.map(
      (couple, i) =>
        [pairKey(PSEUDO_COUNT + couple[0], PSEUDO_COUNT + couple[1]), PSEUDO_COUNT + rows.length + i] as const,
    );
    const mode: Mode = { run: handler as Run, hot, pairs: new Map(numbers) };
    this.#modes.set(long, mode);
    return mode;
  }
}
