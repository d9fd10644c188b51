/** Linear to physical addresses: 32-bit, PAE and 4-level paging (SDM vol. 3 chapter 4). */
import type { Procedure, State, Value } from '../../ir/types.ts';
import { CR0_BITS, CR4_BITS, EFER_BITS, PHYSICAL_BITS } from '../control-bits.ts';
import { VECTOR } from '../exceptions.ts';
import { RFLAGS } from '../flags.ts';
import { CR0, CR2, CR3, CR4, EFER, FLAGS_OTHER, PDPTE } from '../state.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';

/** What an access is: bits of the second argument of `translate`. */
export const ACCESS = { write: 1, user: 2, fetch: 4, implicit: 8 } as const;
/** Bits of the second result of `translate`. */
export const TRANSLATION = {
  /** A write at this privilege needs no further look: the page is writable and its dirty bit set. */
  writable: 1,
  /** The page is larger than 4 KiB. */
  large: 2,
  /** The page is global: a change of CR3 leaves it alone (SDM vol. 3 §4.10.2.4). */
  global: 4,
} as const;

/** Bits of a paging-structure entry. */
const ENTRY = { P: 1n, RW: 2n, US: 4n, A: 0x20n, D: 0x40n, PS: 0x80n, G: 0x100n, XD: 1n << 63n } as const;
const ERROR = { P: 1, W: 2, U: 4, RSVD: 8, I: 16 } as const;
const ADDRESS_MASK = (1n << PHYSICAL_BITS) - 1n;
const FRAME_MASK = ADDRESS_MASK & ~0xfffn;
const RESERVED_HIGH = ((1n << 52n) - 1n) & ~ADDRESS_MASK;
const RESERVED_PAE = ((1n << 63n) - 1n) & ~ADDRESS_MASK;
/** Reserved in a PDPTE of PAE paging (SDM vol. 3 table 4-8). */
const RESERVED_PDPTE = RESERVED_PAE | ENTRY.XD | 0x1e6n;

const has = (x: X86Builder, state: State, bit: bigint): Value => x.ne(x.and(x.get(state), bit), 0);
const isSet = (x: X86Builder, v: Value, bit: bigint): Value => x.ne(x.and(v, bit), 0);
const not = (x: X86Builder, v: Value): Value => x.xor(v, x.const('i1', 1));

/** #PF: linear address, access, error-code bits P and RSVD (SDM vol. 3 §4.7). */
const pageFault: Procedure = x86Procedure(
  { name: 'pageFault', parameters: ['i64', 'i32', 'i32'], results: [], mayFault: true },
  (x, linear, access, found) => {
    const executeDisable = x.and(has(x, EFER, EFER_BITS.NXE), has(x, CR4, CR4_BITS.PAE));
    const reportsFetch = x.or(executeDisable, has(x, CR4, CR4_BITS.SMEP));
    const bit = (from: number, to: number): Value => x.select(x.ne(x.and(access, from), 0), x.const('i32', to), 0);
    const code = x.or(x.or(bit(ACCESS.write, ERROR.W), bit(ACCESS.user, ERROR.U)), found);
    x.set(CR2, linear);
    x.raise(VECTOR.PF, x.or(code, x.select(reportsFetch, bit(ACCESS.fetch, ERROR.I), 0)));
  },
);

/** Whether rights (`RW`, `US`, `XD` of all levels joined) allow the access (SDM vol. 3 §4.6). */
const isAllowed: Procedure = x86Procedure(
  { name: 'isAllowed', parameters: ['i64', 'i32'], results: ['i1'] },
  (x, rights, access) => {
    const want = (bit: number): Value => x.ne(x.and(access, bit), 0);
    const userPage = isSet(x, rights, ENTRY.US);
    const writable = isSet(x, rights, ENTRY.RW);
    const fetch = want(ACCESS.fetch);
    const asUser = want(ACCESS.user);
    const writeFails = x.and(want(ACCESS.write), x.and(not(x, writable), x.or(asUser, has(x, CR0, CR0_BITS.WP))));
    const fetchFails = x.and(fetch, x.and(isSet(x, rights, ENTRY.XD), has(x, EFER, EFER_BITS.NXE)));
    const userFails = x.and(asUser, not(x, userPage));
    const smep = x.and(fetch, has(x, CR4, CR4_BITS.SMEP));
    const overrides = x.and(x.ne(x.and(x.get(FLAGS_OTHER), RFLAGS.AC), 0), not(x, want(ACCESS.implicit)));
    const smap = x.and(not(x, fetch), x.and(has(x, CR4, CR4_BITS.SMAP), not(x, overrides)));
    const supervisorFails = x.and(x.and(not(x, asUser), userPage), x.or(smep, smap));
    x.return(not(x, x.or(x.or(writeFails, fetchFails), x.or(userFails, supervisorFails))));
  },
);

interface Leaf {
  readonly entry: Value;
  readonly entryAddress: Value;
  readonly rights: Value;
  readonly frame: Value;
  /** Low bits of the linear address that pass through. */
  readonly offsetMask: Value;
}

/** Checks rights, sets the accessed and dirty bits, returns the translation. */
function finish(x: X86Builder, linear: Value, access: Value, leaf: Leaf): void {
  const [allowed] = x.call(isAllowed, leaf.rights, access);
  x.if(not(x, allowed), () => x.call(pageFault, linear, access, x.const('i32', ERROR.P)));
  const write = x.ne(x.and(access, ACCESS.write), 0);
  const wanted = x.or(leaf.entry, x.select(write, x.const(leaf.entry.type, ENTRY.A | ENTRY.D), ENTRY.A));
  x.if(x.ne(wanted, leaf.entry), () => x.storePhysical(leaf.entryAddress, wanted));
  const [mayWrite] = x.call(isAllowed, leaf.rights, x.or(access, ACCESS.write));
  const dirty = x.ne(x.and(wanted, ENTRY.D), 0);
  const physical = x.or(leaf.frame, x.and(linear, leaf.offsetMask));
  const writable = x.select(x.and(dirty, mayWrite), x.const('i32', TRANSLATION.writable), 0);
  const large = x.select(x.ne(leaf.offsetMask, 0xfff), x.const('i32', TRANSLATION.large), 0);
  const isGlobal = x.and(x.ne(x.and(leaf.entry, ENTRY.G), 0), has(x, CR4, CR4_BITS.PGE));
  const global = x.select(isGlobal, x.const('i32', TRANSLATION.global), 0);
  x.return(physical, x.or(x.or(writable, large), global));
}

/** Two levels of 4-byte entries (SDM vol. 3 §4.3). */
const walk32: Procedure = x86Procedure(
  { name: 'walk32', parameters: ['i64', 'i32'], results: ['i64', 'i32'], mayFault: true },
  (x, linear, access) => {
    const fault = (found: number): void => {
      x.call(pageFault, linear, access, x.const('i32', found));
    };
    const directory = x.add(x.and(x.get(CR3), 0xfffff000n), x.shl(x.shrU(linear, 22), 2));
    const pde = x.loadPhysical('i32', directory);
    x.if(not(x, isSet(x, pde, ENTRY.P)), () => fault(0));
    const large = x.and(isSet(x, pde, ENTRY.PS), has(x, CR4, CR4_BITS.PSE));
    x.if(large, () => {
      // PSE-36: bits 20:13 of the entry are bits 39:32 of the address; bit 21 is reserved.
      x.if(isSet(x, pde, 1n << 21n), () => fault(ERROR.P | ERROR.RSVD));
      const wide = x.zext(pde, 'i64');
      const frame = x.or(x.and(wide, 0xffc00000n), x.shl(x.and(x.shrU(wide, 13), 0xff), 32));
      const rights = x.and(wide, ENTRY.RW | ENTRY.US);
      finish(x, linear, access, {
        entry: pde,
        entryAddress: directory,
        rights,
        frame,
        offsetMask: x.const('i64', 0x3fffff),
      });
    });
    x.if(not(x, isSet(x, pde, ENTRY.A)), () => x.storePhysical(directory, x.or(pde, ENTRY.A)));
    const table = x.add(x.and(x.zext(pde, 'i64'), 0xfffff000n), x.shl(x.and(x.shrU(linear, 12), 0x3ff), 2));
    const pte = x.loadPhysical('i32', table);
    x.if(not(x, isSet(x, pte, ENTRY.P)), () => fault(0));
    const rights = x.and(x.zext(x.and(pde, pte), 'i64'), ENTRY.RW | ENTRY.US);
    const frame = x.and(x.zext(pte, 'i64'), 0xfffff000n);
    finish(x, linear, access, { entry: pte, entryAddress: table, rights, frame, offsetMask: x.const('i64', 0xfff) });
  },
);

/** Levels of 8-byte entries from `table` down; the rights so far; `shift` of the first level (SDM vol. 3 §4.4, §4.5). */
const walk64: Procedure = x86Procedure(
  { name: 'walk64', parameters: ['i64', 'i32', 'i64', 'i64'], results: ['i64', 'i32'], mayFault: true },
  (x, linear, access, firstTable, firstShift) => {
    const table = x.variable(firstTable);
    const shift = x.variable(firstShift);
    const rights = x.variable(x.const('i64', ENTRY.RW | ENTRY.US));
    const long = has(x, EFER, EFER_BITS.LMA);
    const noExecuteReserved = x.select(has(x, EFER, EFER_BITS.NXE), x.const('i64', 0), ENTRY.XD);
    const reserved = x.or(x.select(long, x.const('i64', RESERVED_HIGH), RESERVED_PAE), noExecuteReserved);
    x.loop(() => {
      const address = x.add(table.get(), x.shl(x.and(x.shrU(linear, shift.get()), 0x1ff), 3));
      const entry = x.loadPhysical('i64', address);
      x.if(not(x, isSet(x, entry, ENTRY.P)), () => x.call(pageFault, linear, access, x.const('i32', 0)));
      const isLast = x.eq(shift.get(), 12);
      const large = x.and(not(x, isLast), isSet(x, entry, ENTRY.PS));
      const pageBits = x.sub(x.shl(x.const('i64', 1), shift.get()), 1);
      // A large page's frame is aligned (bit 12 is PAT); a PML4E has no large pages.
      const misaligned = x.select(large, x.and(x.and(entry, pageBits), FRAME_MASK & ~0x1000n), 0n);
      const invalid = x.or(x.ne(x.or(x.and(entry, reserved), misaligned), 0), x.and(large, x.eq(shift.get(), 39)));
      x.if(invalid, () => x.call(pageFault, linear, access, x.const('i32', ERROR.P | ERROR.RSVD)));
      const both = x.and(x.and(rights.get(), entry), ENTRY.RW | ENTRY.US);
      rights.set(x.or(both, x.and(x.or(rights.get(), entry), ENTRY.XD)));
      x.if(x.or(isLast, large), () => {
        const frame = x.and(x.and(entry, FRAME_MASK), x.not(pageBits));
        finish(x, linear, access, { entry, entryAddress: address, rights: rights.get(), frame, offsetMask: pageBits });
      });
      x.if(not(x, isSet(x, entry, ENTRY.A)), () => x.storePhysical(address, x.or(entry, ENTRY.A)));
      table.set(x.and(entry, FRAME_MASK));
      shift.set(x.sub(shift.get(), 9));
    });
  },
);

/** CR0, CR4 and IA32_EFER as they are choose PAE paging. */
export const usesPae = (x: X86Builder): Value =>
  x.and(x.and(has(x, CR0, CR0_BITS.PG), has(x, CR4, CR4_BITS.PAE)), not(x, has(x, EFER, EFER_BITS.LMA)));

/** Loads the four PDPTEs that `cr3` points to; 0 and nothing changed where one that is present has reserved bits (SDM vol. 3 §4.4.1). */
export const loadPdptes: Procedure = x86Procedure(
  { name: 'loadPdptes', parameters: ['i64'], results: ['i1'] },
  (x, cr3) => {
    const table = x.and(cr3, 0xffffffe0n);
    const entries = [0, 1, 2, 3].map((n) => x.loadPhysical('i64', x.add(table, n * 8)));
    const isBad = (e: Value): Value => x.and(isSet(x, e, ENTRY.P), isSet(x, e, RESERVED_PDPTE));
    x.if(
      entries.map(isBad).reduce((a, b) => x.or(a, b)),
      () => x.return(x.const('i1', 0)),
    );
    for (const [n, e] of entries.entries()) x.setAt(PDPTE, x.const('i32', n * 8), e);
    x.return(x.const('i1', 1));
  },
);

/** PAE paging: four entries without rights, held by the processor, then two levels (SDM vol. 3 §4.4). */
const walkPae: Procedure = x86Procedure(
  { name: 'walkPae', parameters: ['i64', 'i32'], results: ['i64', 'i32'], mayFault: true },
  (x, linear, access) => {
    const at = x.shl(x.trunc(x.and(x.shrU(linear, 30), 3), 'i32'), 3);
    const pdpte = x.getAt(PDPTE, at, 'i64');
    x.if(not(x, isSet(x, pdpte, ENTRY.P)), () => x.call(pageFault, linear, access, x.const('i32', 0)));
    x.return(...x.call(walk64, linear, access, x.and(pdpte, FRAME_MASK), x.const('i64', 21)));
  },
);

/**
 * The physical address of a linear one, with #PF where the access is not allowed; #GP(0) for an address that is not canonical.
 * Arguments: linear address, `ACCESS` bits. Results: physical address, `TRANSLATION` bits.
 */
export const translate: Procedure = x86Procedure(
  { name: 'translate', parameters: ['i64', 'i32'], results: ['i64', 'i32'], mayFault: true },
  (x, linear, access) => {
    x.if(not(x, has(x, CR0, CR0_BITS.PG)), () => x.return(linear, x.const('i32', TRANSLATION.writable)));
    x.if(has(x, EFER, EFER_BITS.LMA), () => {
      x.checkCanonical(linear);
      x.return(...x.call(walk64, linear, access, x.and(x.get(CR3), FRAME_MASK), x.const('i64', 39)));
    });
    x.if(has(x, CR4, CR4_BITS.PAE), () => x.return(...x.call(walkPae, linear, access)));
    x.return(...x.call(walk32, linear, access));
  },
);
