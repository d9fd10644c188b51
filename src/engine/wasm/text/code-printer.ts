/** The instructions of a function as text, a line for each. */
import { TYPE_CODE } from '../encoder.ts';
import { ByteReader } from './byte-reader.ts';
import { type Instruction, instructionAt } from './instructions.ts';

export interface CodeLine {
  /** Position of its first byte in the code. */
  readonly at: number;
  /** Blocks open around it. */
  readonly depth: number;
  readonly text: string;
}

/** What is printed in place of numbers. */
export interface Names {
  local?(index: number): string | undefined;
  function?(index: number): string | undefined;
  /** Block types that are an index. */
  type?(index: number): string;
  /** What lies in memory at a constant offset, as a comment; where it is given, alignments are left out. */
  place?(offset: number): string | undefined;
}

const VALUE_TYPES = new Map(Object.entries(TYPE_CODE).map(([name, code]) => [code, name]));
/** The name of a value type. */
export const valueType = (code: number): string => VALUE_TYPES.get(code) ?? `0x${code.toString(16)}`;

const EMPTY_BLOCK = -64n;
const FIRST_VALUE_TYPE = 0x80n;

class CodePrinter {
  readonly #code: Uint8Array;
  readonly #reader: ByteReader;
  readonly #names: Names;
  readonly #lines: CodeLine[] = [];
  #depth = 0;

  constructor(code: Uint8Array, names: Names) {
    this.#code = code;
    this.#reader = new ByteReader(code);
    this.#names = names;
  }

  /** Up to the end of the code; the function's own `end` is left out. */
  lines(): readonly CodeLine[] {
    const r = this.#reader;
    while (!r.done) {
      const at = r.at;
      const instruction = instructionAt(r);
      if (instruction === undefined) {
        this.#line(at, `;; unknown opcode ${[...this.#code.subarray(at, r.at)].map((b) => b.toString(16)).join(' ')}`);
        break;
      }
      this.#instruction(at, instruction);
    }
    return this.#lines;
  }

  #line(at: number, text: string): void {
    this.#lines.push({ at, depth: this.#depth, text });
  }

  #instruction(at: number, instruction: Instruction): void {
    const { name } = instruction;
    if (name === 'end' || name === 'else') this.#depth--;
    if (this.#depth < 0) return;
    const operands = this.#operands(instruction);
    this.#line(at, [name === 'select_typed' ? 'select' : name, ...operands].join(' '));
    if (instruction.immediate === 'block' || name === 'else') this.#depth++;
  }

  #operands({ immediate, alignment }: Instruction): string[] {
    const r = this.#reader;
    switch (immediate) {
      case 'none':
        return [];
      case 'block':
        return this.#blockType();
      case 'label':
      case 'lane':
      case 'index':
        return [`${r.u32()}`].filter((index) => immediate !== 'index' || index !== '0');
      case 'twoIndices':
        return this.#twoIndices();
      case 'labels':
        return [...r.vector(() => `${r.u32()}`), `${r.u32()}`];
      case 'function':
        return [this.#named('function', r.u32())];
      case 'indirect':
        return this.#indirect();
      case 'types':
        return [`(result ${r.vector(() => valueType(r.byte())).join(' ')})`];
      case 'local':
        return [this.#named('local', r.u32())];
      case 'memory':
        return this.#memory(alignment);
      case 'memoryLane':
        return [...this.#memory(alignment), `${r.byte()}`];
      case 'lanes':
        return [...r.bytes(16)].map(String);
      default:
        return [this.#constant(immediate)];
    }
  }

  #named(kind: 'local' | 'function', index: number): string {
    return this.#names[kind]?.(index) ?? `${index}`;
  }

  #twoIndices(): string[] {
    const r = this.#reader;
    const pair = [r.u32(), r.u32()];
    return pair.some((index) => index !== 0) ? pair.map(String) : [];
  }

  #indirect(): string[] {
    const r = this.#reader;
    const type = r.u32();
    const table = r.u32();
    return [...(table === 0 ? [] : [`${table}`]), this.#names.type?.(type) ?? `(type ${type})`];
  }

  #blockType(): string[] {
    const type = this.#reader.signed();
    if (type === EMPTY_BLOCK) return [];
    if (type < 0n) return [`(result ${valueType(Number(type + FIRST_VALUE_TYPE))})`];
    return [this.#names.type?.(Number(type)) ?? `(type ${type})`];
  }

  #memory(natural: number): string[] {
    const r = this.#reader;
    const alignment = r.u32();
    const offset = r.u32();
    const place = this.#names.place?.(offset);
    const words = offset === 0 ? [] : [`offset=${offset}`];
    if (this.#names.place === undefined && alignment !== natural) words.push(`align=${2 ** alignment}`);
    return place === undefined ? words : [...words, `;; ${place}`];
  }

  #constant(type: 'i32' | 'i64' | 'f32' | 'f64' | 'v128'): string {
    const r = this.#reader;
    switch (type) {
      case 'i32':
      case 'i64':
        return `${r.signed()}`;
      case 'f32':
        return r.float(4);
      case 'f64':
        return r.float(8);
      case 'v128':
        return ['i32x4', ...[0, 1, 2, 3].map(() => `0x${r.word().toString(16)}`)].join(' ');
      default:
        return type satisfies never;
    }
  }
}

/** `code` is a function's, without the declarations of its locals. */
export function printCode(code: Uint8Array, names: Names): readonly CodeLine[] {
  return new CodePrinter(code, names).lines();
}

/** Locals of a function's body by type, and where its code begins. */
export function readLocals(body: Uint8Array): { readonly types: readonly string[]; readonly codeAt: number } {
  const r = new ByteReader(body);
  const runs = r.vector(() => {
    const length = r.u32();
    return new Array<string>(length).fill(valueType(r.byte()));
  });
  return { types: runs.flat(), codeAt: r.at };
}
