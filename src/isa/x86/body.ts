/** What a row means, as IR. */
import type { Statement } from '../ir/types.ts';
import type { Encoding, Parameters } from './definition.ts';
import { bindOperand } from './operands.ts';
import { X86Builder } from './x86-builder.ts';

/** The meaning of a row under some parameters. */
export function bodyOf(encoding: Encoding, parameters: Parameters): readonly Statement[] {
  const x = new X86Builder(parameters, encoding.absolute);
  encoding.definition.semantics(x, ...encoding.operands.map((code) => bindOperand(x, code)));
  return x.statements;
}
