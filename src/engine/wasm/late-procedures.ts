/**
 * Large procedures that hardly any guest calls are made at the first call. They are called through fixed places of the table, where until
 * then functions stand that ask for them.
 */
import { external } from '../../isa/ir/procedure.ts';
import type { External, Procedure } from '../../isa/ir/types.ts';
import { deliverProtected, deliverReal } from '../../isa/x86/procedures/deliver-legacy.ts';
import { taskSwitch } from '../../isa/x86/procedures/tasks.ts';
import { ByteWriter, OP } from './encoder.ts';
import type { ModuleBuilder, Signature } from './module-builder.ts';

export const LATE_PROCEDURES: readonly Procedure[] = [deliverProtected, deliverReal, taskSwitch];

/** Place 0 of the table stays empty. */
export const FIRST_LATE = 1;

/** The number of a late procedure: makes it and puts it into its place. */
export const makeLate = external('makeLate', ['i32'], [], { class: 'engine' });

/** Its place in the table; undefined for one that is no late procedure. */
export function placeOf(c: Procedure | External): number | undefined {
  const number = LATE_PROCEDURES.indexOf(c as Procedure);
  return number < 0 ? undefined : FIRST_LATE + number;
}

/** Adds a function that goes on, with its parameters, to the one at a place; `before`: what it does first. */
export function defineDetour(
  builder: ModuleBuilder,
  type: Signature,
  place: number,
  before: (code: ByteWriter) => void = () => {},
): number {
  const code = new ByteWriter();
  // It has no locals.
  code.u32(0);
  before(code);
  for (let i = 0; i < type.parameters.length; i++) code.get(i);
  code.i32(place);
  code.indexed(OP.return_call_indirect, builder.type(type));
  code.u32(0);
  code.byte(OP.end);
  const index = builder.declare(type);
  builder.define(index, code.view());
  return index;
}
