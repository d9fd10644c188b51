/** Guest memory as a debugger sees it: by virtual address, without permission checks, without touching accessed bits. */
import type { GuestMemory } from '../devices/contract.ts';
import type { Vcpu } from '../engine/engine.ts';

/** What a debugger asks of a processor. */
export type RegisterView = Pick<Vcpu, 'register'>;

const CR0_PG = 1n << 31n;
const CR4_PSE = 1n << 4n;
const CR4_PAE = 1n << 5n;
const EFER_LMA = 1n << 10n;
const ENTRY_PRESENT = 1n << 0n;
const ENTRY_PAGE_SIZE = 1n << 7n;
const PAGE = 4096n;

/** A form of paging (SDM vol. 3 chapter 4). `levels` from the root: position of the index, its bits, whether it may map a page. */
interface PagingForm {
  readonly entryBytes: 4 | 8;
  readonly rootMask: bigint;
  readonly frameMask: bigint;
  readonly levels: readonly (readonly [shift: bigint, bits: bigint, mayMapPage: boolean])[];
}

const FRAME_52 = 0x000f_ffff_ffff_f000n;
const PAE_LEVELS = [
  [21n, 9n, true],
  [12n, 9n, false],
] as const;
const FOUR_LEVEL: PagingForm = {
  entryBytes: 8,
  rootMask: FRAME_52,
  frameMask: FRAME_52,
  levels: [[39n, 9n, false], [30n, 9n, true], ...PAE_LEVELS],
};
const PAE: PagingForm = {
  entryBytes: 8,
  rootMask: 0xffff_ffe0n,
  frameMask: FRAME_52,
  levels: [[30n, 2n, false], ...PAE_LEVELS],
};
const TWO_LEVEL = (pse: boolean): PagingForm => ({
  entryBytes: 4,
  rootMask: 0xffff_f000n,
  frameMask: 0xffff_f000n,
  levels: [
    [22n, 10n, pse],
    [12n, 10n, false],
  ],
});

function pagingForm(cpu: RegisterView): PagingForm | undefined {
  if ((cpu.register('CR0') & CR0_PG) === 0n) return undefined;
  if ((cpu.register('IA32_EFER') & EFER_LMA) !== 0n) return FOUR_LEVEL;
  const cr4 = cpu.register('CR4');
  return (cr4 & CR4_PAE) !== 0n ? PAE : TWO_LEVEL((cr4 & CR4_PSE) !== 0n);
}

/** The guest-physical address of a linear address; undefined when no page is present there. `looked` hears where each entry is. */
export function translate(
  cpu: RegisterView,
  memory: GuestMemory,
  linear: bigint,
  looked: (at: number) => void = () => {},
): number | undefined {
  const form = pagingForm(cpu);
  if (form === undefined) return Number(linear & 0xffff_ffffn);
  let table = cpu.register('CR3') & form.rootMask;
  for (const [shift, bits, mayMapPage] of form.levels) {
    const index = (linear >> shift) & ((1n << bits) - 1n);
    const at = Number(table) + Number(index) * form.entryBytes;
    looked(at);
    const entry = readEntry(memory, at, form.entryBytes);
    if (entry === undefined || (entry & ENTRY_PRESENT) === 0n) return undefined;
    table = entry & form.frameMask;
    if (mayMapPage && (entry & ENTRY_PAGE_SIZE) !== 0n) {
      const inside = (1n << shift) - 1n;
      return Number((table & ~inside) | (linear & inside));
    }
  }
  return Number(table | (linear & (PAGE - 1n)));
}

function readEntry(memory: GuestMemory, at: number, length: 4 | 8): bigint | undefined {
  const bytes = memory.readable(at, length);
  if (bytes === undefined) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  return length === 4 ? BigInt(view.getUint32(0, true)) : view.getBigUint64(0, true);
}

/** Up to `length` bytes at a linear address; fewer when pages are missing. */
function readLinear(cpu: RegisterView, memory: GuestMemory, linear: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const at = BigInt.asUintN(64, linear + BigInt(done));
    const part = Math.min(length - done, Number(PAGE - (at & (PAGE - 1n))));
    const physical = translate(cpu, memory, at);
    const found = physical === undefined ? undefined : memory.readable(physical, part);
    if (found === undefined) break;
    bytes.set(found, done);
    done += part;
  }
  return bytes.subarray(0, done);
}

/** Up to `length` bytes at RIP. */
export function readCode(cpu: RegisterView, memory: GuestMemory, rip: bigint, length: number): Uint8Array {
  return readLinear(cpu, memory, codeLinear(cpu, rip), length);
}

function codeLinear(cpu: RegisterView, rip: bigint): bigint {
  const sum = cpu.register('CS.base') + rip;
  return codeSize(cpu) === 64 ? rip : BigInt.asUintN(32, sum);
}

/** The default size of the code segment. */
export function codeSize(cpu: RegisterView): 16 | 32 | 64 {
  const size = Number(cpu.register('CODE_SIZE'));
  return size === 16 || size === 32 ? size : 64;
}
