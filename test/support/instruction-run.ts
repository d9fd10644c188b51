/** Runs single x86 instructions on the reference evaluator: flat memory without paging, 64-bit mode unless told. */
import { callProcedure, type Environment, evaluate, GuestFault } from '../../src/engine/reference/evaluate.ts';
import { type LoadNode, type State, type StoreNode, type Type, type Value, WIDTH } from '../../src/isa/ir/types.ts';
import { CR0_BITS, CR4_BITS } from '../../src/isa/x86/control-bits.ts';
import { decode, type Fields } from '../../src/isa/x86/decoder.ts';
import { bindOperand } from '../../src/isa/x86/operands.ts';
import type { CodeSize } from '../../src/isa/x86/prefixes.ts';
import { updateFpuBlocked } from '../../src/isa/x86/procedures/checks.ts';
import {
  CPL,
  CR0,
  CR4,
  FCW,
  MXCSR,
  REGISTERS,
  SEGMENT,
  SEGMENT_STRIDE,
  SEGMENTS,
  STATE_SIZE,
  XCR0,
} from '../../src/isa/x86/state.ts';
import { X86Builder, x86Procedure } from '../../src/isa/x86/x86-builder.ts';

export type Fault = { readonly vector: number; readonly errorCode: number | undefined };

const RESET: readonly (readonly [State, bigint])[] = [
  [CR0, CR0_BITS.PE | CR0_BITS.ET | CR0_BITS.NE],
  [CR4, CR4_BITS.OSFXSR | CR4_BITS.OSXMMEXCPT | CR4_BITS.OSXSAVE],
  [XCR0, 3n],
  [FCW, 0x37fn],
  [MXCSR, 0x1f80n],
];
const RFLAGS_IMAGE = x86Procedure({ name: 'rflags', parameters: [], results: ['i32'] }, (x) =>
  x.return(x.flags.image()),
);

export class InstructionRun {
  readonly memory: Uint8Array;
  readonly #state = new DataView(new ArrayBuffer(STATE_SIZE));
  readonly #mode: CodeSize;

  constructor(memoryBytes = 4096, mode: CodeSize = 64) {
    this.memory = new Uint8Array(memoryBytes);
    this.#mode = mode;
    for (const [state, value] of RESET) this.setState(state, value);
    for (let i = 0; i < 6; i++) {
      const at = SEGMENTS.offset + i * SEGMENT_STRIDE;
      this.#state.setBigUint64(at + SEGMENT.readEnd, 1n << 32n, true);
      this.#state.setBigUint64(at + SEGMENT.writeEnd, 1n << 32n, true);
    }
    this.setState(CPL, 0n);
  }

  /** A register by its name in `REGISTERS`. */
  get(name: string): bigint {
    return this.getState(REGISTERS.get(name)!);
  }
  set(name: string, value: bigint): void {
    this.setState(REGISTERS.get(name)!, value);
  }
  getState(state: State): bigint {
    return read(this.#state, state.offset, state.type);
  }
  setState(state: State, value: bigint): void {
    write(this.#state, state.offset, state.type, value);
  }
  rflags(): number {
    return Number(
      callProcedure(
        this.#environment(undefined, () => {}),
        RFLAGS_IMAGE,
        [],
      )[0],
    );
  }
  /** A copy of all registers, to compare. */
  registers(): Uint8Array {
    return new Uint8Array(this.#state.buffer.slice(0));
  }

  /** Executes the instruction of these bytes and returns the exception that ended it, if any. */
  run(bytes: readonly number[]): Fault | undefined {
    const decoded = decode(new Uint8Array(bytes), this.#mode);
    if (typeof decoded === 'string') throw new Error(`${decoded} instruction ${bytes}`);
    const x = new X86Builder(decoded.parameters);
    decoded.encoding.definition.semantics(x, ...decoded.encoding.operands.map((code) => bindOperand(x, code)));
    callProcedure(
      this.#environment(undefined, () => {}),
      updateFpuBlocked,
      [],
    );
    let fault: Fault | undefined;
    try {
      evaluate(
        this.#environment(decoded.fields, (f) => {
          fault = f;
        }),
        x.statements,
      );
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error;
    }
    return fault;
  }

  #environment(fields: Fields | undefined, onFault: (fault: Fault) => void): Environment {
    const memory = new DataView(this.memory.buffer);
    const none = (): never => {
      throw new Error('not here');
    };
    return {
      field: (name) => BigInt((fields as Readonly<Record<string, number | bigint>> | undefined)?.[name] ?? 0),
      readState: (offset, type) => read(this.#state, offset, type),
      writeState: (offset, type, value) => write(this.#state, offset, type, value),
      load: (node: LoadNode, address) => read(memory, Number(address), node.type),
      store: (node: StoreNode, address, value) => write(memory, Number(address), (node.value as Value).type, value),
      loadPhysical: none,
      storePhysical: none,
      external: none,
      fault: (vector, errorCode) => onFault({ vector, errorCode }),
      jump: none,
      exit: none,
    };
  }
}

function read(view: DataView, at: number, type: Type): bigint {
  let value = 0n;
  for (let i = WIDTH[type] / 8 - 1; i >= 0; i--) value = (value << 8n) | BigInt(view.getUint8(at + i));
  return value;
}
function write(view: DataView, at: number, type: Type, value: bigint): void {
  for (let i = 0; i < WIDTH[type] / 8; i++) view.setUint8(at + i, Number((value >> BigInt(8 * i)) & 0xffn));
}
