/** What a region's code leaves unsaid, for who prints it: which instruction it belongs to, and names. */
import type { ModuleParts } from './assembly.ts';

/** The code of an instruction begins here. */
export interface InstructionMark {
  /** Its block, and its place in that. */
  readonly block: number;
  readonly instruction: number;
  /** Position in the function's code, behind the declarations of locals. */
  readonly at: number;
}

export class RegionListing {
  #marks: InstructionMark[] = [];
  /** Names of functions by index. */
  readonly functions = new Map<number, string>();
  /** Names of registers by the local that holds them. */
  readonly locals = new Map<number, string>();

  get marks(): readonly InstructionMark[] {
    return this.#marks;
  }
  /** The code of an instruction begins there. */
  mark(mark: InstructionMark): void {
    this.#marks.push(mark);
  }
  /** So many bytes come before all code that was marked. */
  shift(bytes: number): void {
    this.#marks = this.#marks.map((mark) => ({ ...mark, at: mark.at + bytes }));
  }

  /** The same module, whose functions are noted as they are asked for. */
  watch(m: ModuleParts): ModuleParts {
    return {
      builder: m.builder,
      cpuBase: m.cpuBase,
      functionIndex: (target) => {
        const index = m.functionIndex(target);
        this.functions.set(index, target.name);
        return index;
      },
    };
  }
}
