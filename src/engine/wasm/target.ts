/** What a body is lowered into, and the locals of the function around it. */
import type { External, FieldNode, Procedure } from '../../isa/ir/types.ts';
import { ByteWriter, TYPE_CODE, type WasmType } from './encoder.ts';

/** Locals of one function by type; released ones are used again. */
export class Locals {
  readonly #types: WasmType[] = [];
  readonly #free = new Map<WasmType, number[]>();
  readonly #first: number;

  /** `parameters`: locals that the function's parameters take. */
  constructor(parameters: number) {
    this.#first = parameters;
  }
  take(type: WasmType): number {
    return this.#free.get(type)?.pop() ?? this.takeNew(type);
  }
  /** One of a type that is free, and is not from now on. */
  retake(type: WasmType, index: number): void {
    const list = this.#free.get(type)!;
    list.splice(list.lastIndexOf(index), 1);
  }
  /** One that nothing was written to before. */
  takeNew(type: WasmType): number {
    return this.#first + this.#types.push(type) - 1;
  }
  release(type: WasmType, index: number): void {
    const list = this.#free.get(type);
    if (list === undefined) this.#free.set(type, [index]);
    else list.push(index);
  }
  /** The vector of local declarations. */
  write(code: ByteWriter): void {
    code.u32(this.#types.length);
    for (const t of this.#types) {
      code.u32(1);
      code.byte(TYPE_CODE[t]);
    }
  }
}

/** What a body is lowered into. */
export interface Target {
  /** Where the virtual CPU's state starts in linear memory. */
  readonly cpuBase: number;
  functionIndex(target: Procedure | External): number;
  /** Pushes the operand's value. */
  field(code: ByteWriter, node: FieldNode): void;
  /** Before anything that may look at the instruction from outside. */
  beforeCall(code: ByteWriter): void;
  /** Leaves the body; `depth` labels are open inside it. */
  fault(code: ByteWriter, depth: number): void;
  /** The target instruction pointer is on the stack through `pushTarget`. */
  jump(code: ByteWriter, depth: number, link: 0 | 1 | undefined, pushTarget: () => void): void;
  exit(code: ByteWriter, depth: number, reason: number): void;
  return(code: ByteWriter, depth: number): void;
}

/** A function body: the declarations of its locals, then its code; `first`: what stands before that. */
export function withLocals(locals: Locals, code: ByteWriter, first?: ByteWriter): Uint8Array {
  const out = new ByteWriter(code.length + 1024);
  locals.write(out);
  if (first !== undefined) out.append(first);
  out.append(code);
  return out.body();
}
