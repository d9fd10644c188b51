/**
 * Counts executions of chosen instructions: their handlers increment a counter in linear memory before they do anything else. Handlers of
 * other instructions stay as they are.
 */
import { IrBuilder } from '../isa/ir/builder.ts';
import { nextNumber } from '../isa/ir/statements.ts';
import type { Statement, Value } from '../isa/ir/types.ts';
import type { Encoding, Parameters } from '../isa/x86/definition.ts';
import { CPL, SEGMENT_STRIDE } from '../isa/x86/state.ts';
import { COUNTERS_BASE, COUNTERS_END } from './layout.ts';

/** Looks at instruction bodies before they become handlers. */
export interface Instrument {
  /** The engine's linear memory, before anything runs. */
  attach(memory: WebAssembly.Memory): void;
  /** The body to execute instead. */
  body(encoding: Encoding, parameters: Parameters, body: readonly Statement[]): readonly Statement[];
}

/** One kind of instruction, as often as it was started at a privilege level. */
export interface ExecutionCount {
  readonly encoding: Encoding;
  readonly memory: boolean;
  /** Number of the system register that the operand names; 0 where it names none. */
  readonly operand: number;
  readonly level: 'user' | 'supervisor';
  readonly count: number;
}

const COUNTER_SIZE = 8;
const OPERANDS = 16;
const LEVELS = 2;
/** Bytes of the counters of one kind: for each system register, in supervisor and in user mode. */
const GROUP_SIZE = OPERANDS * LEVELS * COUNTER_SIZE;
const USER_LEVEL = 3;

interface Group {
  readonly encoding: Encoding;
  readonly memory: boolean;
  readonly at: number;
}

/** Which system register the instruction names, as a number below `OPERANDS`. */
function operandOf(b: IrBuilder, { operands }: Encoding): Value {
  if (operands.includes('Sw')) return b.shrU(b.field('reg', 'i32'), Math.log2(SEGMENT_STRIDE));
  if (operands.includes('Cr') || operands.includes('Dr')) return b.field('reg', 'i32');
  return b.const('i32', 0);
}

export class ExecutionCounters implements Instrument {
  readonly #chosen: (encoding: Encoding, memory: boolean) => boolean;
  readonly #groups = new Map<string, Group>();
  #memory: WebAssembly.Memory | undefined;

  /** `chosen`: what to count, by row and whether the operand is in memory. */
  constructor(chosen: (encoding: Encoding, memory: boolean) => boolean) {
    this.#chosen = chosen;
  }

  attach(memory: WebAssembly.Memory): void {
    this.#memory = memory;
    new Uint8Array(memory.buffer, COUNTERS_BASE, COUNTERS_END - COUNTERS_BASE).fill(0);
  }

  body(encoding: Encoding, { memory }: Parameters, body: readonly Statement[]): readonly Statement[] {
    if (!this.#chosen(encoding, memory)) return body;
    const { at } = this.#group(encoding, memory);
    const b = new IrBuilder(nextNumber(body));
    const isUser = b.eq(b.get(CPL), USER_LEVEL);
    const level = b.select(isUser, b.const('i32', OPERANDS * COUNTER_SIZE), 0);
    const place = b.add(b.add(level, b.shl(operandOf(b, encoding), Math.log2(COUNTER_SIZE))), at);
    b.storeRaw(place, b.add(b.loadRaw('i64', place), 1));
    return [...b.statements, ...body];
  }

  #group(encoding: Encoding, memory: boolean): Group {
    const key = `${encoding.id} ${memory}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      const at = COUNTERS_BASE + this.#groups.size * GROUP_SIZE;
      if (at + GROUP_SIZE > COUNTERS_END) throw new RangeError('more kinds of instructions than counters');
      group = { encoding, memory, at };
      this.#groups.set(key, group);
    }
    return group;
  }

  /** What was met so far. */
  counts(): readonly ExecutionCount[] {
    if (this.#memory === undefined) return [];
    const view = new DataView(this.#memory.buffer);
    const found: ExecutionCount[] = [];
    for (const { encoding, memory, at } of this.#groups.values()) {
      for (let i = 0; i < OPERANDS * LEVELS; i++) {
        const count = Number(view.getBigUint64(at + i * COUNTER_SIZE, true));
        const level = i < OPERANDS ? 'supervisor' : 'user';
        if (count > 0) found.push({ encoding, memory, operand: i % OPERANDS, level, count });
      }
    }
    return found;
  }
}
