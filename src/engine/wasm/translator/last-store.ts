/** Instructions that store last: where that drops code, they are left right there. */
import { storesIn } from '../../../isa/ir/purity.ts';
import { isValue, type Statement, type StoreNode } from '../../../isa/ir/types.ts';

/** The store of an instruction that stores nothing else and does nothing behind it. */
export function lastStoreIn(statements: readonly Statement[]): StoreNode | undefined {
  const at = statements.findLastIndex((s) => !isValue(s) || s.kind === 'load');
  const last = statements[at];
  return last?.kind === 'store' && !storesIn(statements.slice(0, at)) ? last : undefined;
}
