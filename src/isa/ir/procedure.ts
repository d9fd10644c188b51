/** What bodies call. */
import type { IrBuilder } from './builder.ts';
import type { External, Procedure, Statement, Type, Value } from './types.ts';

/** A procedure whose body `build` writes with a fresh builder of the kind `make` gives. */
export function procedure<B extends IrBuilder>(
  make: () => B,
  definition: { name: string; parameters: readonly Type[]; results: readonly Type[]; mayFault?: boolean },
  build: (b: B, ...parameters: Value[]) => void,
): Procedure {
  let statements: readonly Statement[] | undefined;
  return {
    kind: 'procedure',
    ...definition,
    mayFault: definition.mayFault ?? false,
    body() {
      if (statements === undefined) {
        const b = make();
        build(b, ...definition.parameters.map((type, i) => b.parameter(i, type)));
        statements = b.statements;
      }
      return statements;
    },
  };
}

/** What answers nothing changes something; `changes` says so of others. */
export function external(
  name: string,
  parameters: readonly Type[],
  results: readonly Type[],
  options: Pick<External, 'class'> & { mayFault?: boolean; changes?: boolean },
): External {
  const { mayFault = false, changes = results.length === 0 } = options;
  return { kind: 'external', name, parameters, results, mayFault, class: options.class, changes };
}
