/** Copies and fills within a page, for what an instruction repeats: on the engine's own tables, as the slow paths are. */
import type { External, Procedure, Value } from '../../isa/ir/types.ts';
import { atOnce, copyOnPage, fillOnPage } from '../../isa/x86/externals.ts';
import { translate } from '../../isa/x86/procedures/paging.ts';
import { FAULT, RAM_SIZE, TLB_BANK } from '../../isa/x86/state.ts';
import { type X86Builder, x86Procedure } from '../../isa/x86/x86-builder.ts';
import { PAGE_SIZE, RAM_BASE } from '../layout.ts';
import { arrive } from './late-pages.ts';
import { accessBits } from './slow-path.ts';
import { TLB_ENTRY, TLB_INDEX_MASK } from './tlb.ts';

/** Whether the TLB has the page of a linear address, and the address in linear memory. */
function lookUp(x: X86Builder, linear: Value, tag: number): { readonly known: Value; readonly host: Value } {
  const entry = x.add(x.get(TLB_BANK), x.and(x.trunc(x.shrU(linear, 7), 'i32'), TLB_INDEX_MASK));
  const known = x.eq(x.loadRaw('i64', x.add(entry, tag)), x.and(linear, -PAGE_SIZE));
  return { known, host: x.add(x.trunc(linear, 'i32'), x.loadRaw('i32', x.add(entry, TLB_ENTRY.addend))) };
}

/** Where the source lies: the TLB may have lost its page to that of the target. Returns from the procedure where that is not RAM. */
function sourceOf(x: X86Builder, from: Value): Value {
  const { known, host } = lookUp(x, from, TLB_ENTRY.readTag);
  const source = x.variable(host);
  x.if(x.eq(known, x.const('i1', 0)), () => {
    const [physical] = x.callGuarded(translate, from, accessBits(x, 'current', false));
    const lost = x.ne(x.get(FAULT), 0);
    x.set(FAULT, 0);
    x.if(x.or(lost, x.leU(x.get(RAM_SIZE), physical)), () => x.return(x.const('i32', 0)));
    x.call(arrive, physical);
    source.set(x.add(x.trunc(physical, 'i32'), RAM_BASE));
  });
  return source.get();
}

const all: Procedure = x86Procedure(
  { name: atOnce.name, parameters: atOnce.parameters, results: atOnce.results },
  (x, elements) => x.return(elements),
);

const copy: Procedure = x86Procedure(
  { name: copyOnPage.name, parameters: copyOnPage.parameters, results: copyOnPage.results },
  (x, to, from, bytes, back) => {
    const target = lookUp(x, to, TLB_ENTRY.writeTag);
    x.if(target.known, () => {
      const ahead = x.sub(target.host, sourceOf(x, from));
      // A target that starts within the source, or ends there on the way down, repeats what was written before.
      x.if(x.leU(bytes, x.select(x.ne(back, 0), x.neg(ahead), ahead)), () => {
        x.copyRaw(target.host, x.sub(target.host, ahead), bytes);
        x.return(x.const('i32', 1));
      });
    });
    x.return(x.const('i32', 0));
  },
);

const fill: Procedure = x86Procedure(
  { name: fillOnPage.name, parameters: fillOnPage.parameters, results: fillOnPage.results },
  (x, to, pattern, bytes) => {
    const target = lookUp(x, to, TLB_ENTRY.writeTag);
    const sameBytes = x.eq(x.or(x.shl(pattern, 8), x.shrU(pattern, 56)), pattern);
    x.if(x.and(sameBytes, target.known), () => {
      x.fillRaw(target.host, x.trunc(pattern, 'i32'), bytes);
      x.return(x.const('i32', 1));
    });
    x.return(x.const('i32', 0));
  },
);

/** What the engine answers itself of what instructions ask for. */
export const OWN_ANSWERS: ReadonlyMap<External, Procedure> = new Map([
  [atOnce, all],
  [copyOnPage, copy],
  [fillOnPage, fill],
]);
