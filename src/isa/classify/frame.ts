/** One body being walked: an instruction's, or a procedure's on behalf of one call. */
import type { CallNode, Value } from '../ir/types.ts';
import type { Environment } from './environment.ts';
import type { Abstract } from './value.ts';

/** Values, and the paths that have left its straight line. */
export class Frame {
  readonly values = new Map<Value, Abstract>();
  readonly results = new Map<CallNode, readonly Abstract[]>();
  readonly returns: { environment: Environment; values: readonly Abstract[] }[] = [];
  readonly breaks = new Map<number, Environment[]>();
  readonly parameters: readonly Abstract[];
  readonly path: readonly string[];
  readonly argument: (index: number) => Value | undefined;

  constructor(parameters: readonly Abstract[], path: readonly string[], args: readonly Value[]) {
    this.parameters = parameters;
    this.path = path;
    this.argument = (index) => args[index];
  }
  /** Paths that left this frame's straight line without a trap. */
  get departures(): number {
    return this.returns.length + [...this.breaks.values()].reduce((n, list) => n + list.length, 0);
  }
}
