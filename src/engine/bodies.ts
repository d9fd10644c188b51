/** Which rows an interpreter's main loop holds itself, and what stands for bytes that are no instruction. */
import type { Statement } from '../isa/ir/types.ts';
import { type Encoding, instruction, type Parameters } from '../isa/x86/definition.ts';
import { VECTOR } from '../isa/x86/exceptions.ts';

/** Every path leaves the instruction by a jump, an exit or an exception: nothing follows it in its block. */
export function alwaysLeaves(body: readonly Statement[]): boolean {
  const last = body.at(-1);
  if (last === undefined) return false;
  if (last.kind === 'if') return alwaysLeaves(last.consequent) && alwaysLeaves(last.alternate);
  return last.kind === 'jump' || last.kind === 'exit' || last.kind === 'raise';
}

const REPEATS = { none: 0, F2: 1, F3: 2 } as const;

/** A number for what a body depends on. */
export function handlerKey(encoding: Encoding, p: Parameters): number {
  const sizes = (p.operandSize >> 5) * 3 + (p.addressSize >> 5);
  const flags = (p.long ? 1 : 0) | (p.memory ? 2 : 0) | (p.segmented ? 4 : 0);
  return ((encoding.id * 9 + sizes) * 8 + flags) * 3 + REPEATS[p.rep];
}

/** A name for the same, which is the same in every run. */
export function handlerName({ row, operands, attributes, definition }: Encoding, p: Parameters): string {
  const { operandSize, addressSize, long, memory, segmented, rep } = p;
  const what = [definition.name, row, operands.join(), [...attributes].join()];
  return [...what, operandSize, addressSize, long, memory, segmented, rep].join(' ');
}

/** The parameters under which a hot row is part of the main loop. */
export function hotParameters(encoding: Encoding, long: boolean): readonly Parameters[] {
  const { attributes, operands, hasModrm, form, definition } = encoding;
  if (!definition.hot || attributes.has(long ? 'i64' : 'o64')) return [];
  const also = definition.hot === true ? [] : definition.hot;
  const sized = operands.some((o) => /[vyz]$/.test(o)) || !hasModrm;
  const wide = attributes.has('d64') || attributes.has('f64') ? [64] : sized ? [32, 64] : [32];
  const word = sized && also.includes('word') ? [16] : [];
  const operandSizes = [...word, ...(long ? wide : [32])] as readonly (16 | 32 | 64)[];
  const memories = !hasModrm || form === 'reg' ? [false] : form === 'mem' ? [true] : [false, true];
  const reps: readonly Parameters['rep'][] = attributes.has('rep') ? ['none', 'F3'] : ['none'];
  const addressSize = long ? 64 : 32;
  return operandSizes.flatMap((operandSize) =>
    memories.flatMap((memory) => {
      const throughSegment = long && memory && also.includes('segment') && operandSize !== 16;
      return (throughSegment ? [false, true] : [!long]).flatMap((segmented) =>
        reps.map((rep) => ({ operandSize, addressSize, long, memory, segmented, rep }) satisfies Parameters),
      );
    }),
  );
}

/** What stands for bytes that are no instruction. */
export const [UNDEFINED] = instruction({ name: '(bad)', rows: ['0F 0B'], semantics: (x) => x.raise(VECTOR.UD) });
/** What stands for an instruction of more than 15 bytes. */
export const [TOO_LONG] = instruction({ name: '(too long)', rows: ['0F 0B'], semantics: (x) => x.raise(VECTOR.GP, 0) });
