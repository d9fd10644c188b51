/** What is known of bodies, how handlers are named, and what stands for bytes that are no instruction. */
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

/** What stands for bytes that are no instruction. */
export const [UNDEFINED] = instruction({ name: '(bad)', rows: ['0F 0B'], semantics: (x) => x.raise(VECTOR.UD) });
/** What stands for an instruction of more than 15 bytes. */
export const [TOO_LONG] = instruction({ name: '(too long)', rows: ['0F 0B'], semantics: (x) => x.raise(VECTOR.GP, 0) });
