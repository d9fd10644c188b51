/** Pages of RAM that have not come when generated code is about to reach them. */
import { external } from '../../isa/ir/procedure.ts';

/** Physical address in RAM: its page comes, if it has not. */
export const arrive = external('arrive', ['i64'], [], { class: 'engine' });
