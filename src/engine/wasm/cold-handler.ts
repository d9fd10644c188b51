/** Handlers that are functions of their own. */
import type { Statement } from '../../isa/ir/types.ts';
import { EXIT, RIP } from '../../isa/x86/state.ts';
import type { ModuleParts } from './assembly.ts';
import { Emitter, noteRecord, pushField, STATUS } from './emitter.ts';
import { Lowering } from './lowering.ts';
import { Locals, type Target, withLocals } from './target.ts';

/** A handler as a function of its own: record → status. */
export function lowerColdHandler(m: ModuleParts, body: readonly Statement[]): Uint8Array {
  const e = new Emitter(m.cpuBase);
  const locals = new Locals(1);
  const leave = (status: number): void => {
    e.i32(status);
    e.op('return');
  };
  const target: Target = {
    cpuBase: m.cpuBase,
    functionIndex: m.functionIndex,
    field: pushField,
    beforeCall: noteRecord(m.cpuBase),
    fault: () => leave(STATUS.fault),
    jump: (_code, _depth, link, pushTarget) => {
      e.store('i64', RIP, pushTarget);
      leave(link === undefined ? STATUS.jump : STATUS.link + link);
    },
    exit: (_code, _depth, reason) => {
      if (reason !== EXIT.halt) throw new Error(`exit ${reason} from an instruction`);
      leave(STATUS.exit);
    },
    return: () => leave(STATUS.next),
  };
  new Lowering(e.code, locals, target).body(body);
  e.i32(STATUS.next);
  e.op('end');
  return withLocals(locals, e.code);
}
