/** Bodies as a whole. */
import { isValue, type Statement } from './types.ts';

/** The number behind those of all statements of a body. */
export function nextNumber(statements: readonly Statement[]): number {
  let next = 1;
  for (const s of walk(statements)) next = Math.max(next, s.number + 1);
  return next;
}

/** Every statement of a body, nested ones included. */
export function* walk(statements: readonly Statement[]): Generator<Statement> {
  for (const s of statements) {
    yield s;
    if (isValue(s)) continue;
    if (s.kind === 'if') {
      yield* walk(s.consequent);
      yield* walk(s.alternate);
    } else if (s.kind === 'loop') yield* walk(s.body);
  }
}
