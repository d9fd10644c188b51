/** Copies and fills within a page, for what an instruction repeats: on the engine's own tables, as the slow paths are. */
import type { External, Procedure, Value } from '../../isa/ir/types.ts';
import { copyOnPage, fillOnPage } from '../../isa/x86/externals.ts';
import { TLB_BANK } from '../../isa/x86/state.ts';
import { type X86Builder, x86Procedure } from '../../isa/x86/x86-builder.ts';
import { PAGE_SIZE } from '../layout.ts';
import { TLB_ENTRY, TLB_INDEX_MASK } from './tlb.ts';

/** Whether the TLB has the page of a linear address, and the address in linear memory. */
function lookUp(x: X86Builder, linear: Value, tag: number): { readonly known: Value; readonly host: Value } {
  const entry = x.add(x.get(TLB_BANK), x.and(x.trunc(x.shrU(linear, 7), 'i32'), TLB_INDEX_MASK));
  const known = x.eq(x.loadRaw('i64', x.add(entry, tag)), x.and(linear, -PAGE_SIZE));
  return { known, host: x.add(x.trunc(linear, 'i32'), x.loadRaw('i32', x.add(entry, TLB_ENTRY.addend))) };
}

const copy: Procedure = x86Procedure(
  { name: copyOnPage.name, parameters: copyOnPage.parameters, results: copyOnPage.results },
  (x, to, from, bytes) => {
    const [target, source] = [lookUp(x, to, TLB_ENTRY.writeTag), lookUp(x, from, TLB_ENTRY.readTag)];
    // A target that starts within the source repeats what lies before it.
    const apart = x.leU(bytes, x.sub(target.host, source.host));
    x.if(x.and(apart, x.and(target.known, source.known)), () => {
      x.copyRaw(target.host, source.host, bytes);
      x.return(x.const('i32', 1));
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
  [copyOnPage, copy],
  [fillOnPage, fill],
]);
