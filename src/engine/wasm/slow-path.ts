/**
 * Memory accesses that the TLB does not answer: translation, page crossings, devices, pages that hold decoded code. Written as IR, but on
 * the engine's own tables; never part of an instruction's meaning.
 */
import { external } from '../../isa/ir/procedure.ts';
import {
  type AccessKind,
  type IntegerType,
  type Procedure,
  type StateType,
  type Type,
  type Value,
  WIDTH,
} from '../../isa/ir/types.ts';
import { deviceRead, deviceWrite } from '../../isa/x86/externals.ts';
import { checkStackAddress } from '../../isa/x86/procedures/checks.ts';
import { checkWatched } from '../../isa/x86/procedures/debug.ts';
import { ACCESS, TRANSLATION, translate } from '../../isa/x86/procedures/paging.ts';
import { TLB_BANK_EMPTY, TLB_BANK_SIZE } from '../../isa/x86/procedures/segments.ts';
import {
  CPL,
  RAM_SIZE,
  SS_AT,
  TLB_BANK,
  TLB_BANK_SUPERVISOR,
  TLB_BANKS,
  TLB_LARGE,
  TLB_MISSES,
  WATCHED,
} from '../../isa/x86/state.ts';
import { type X86Builder, x86Procedure } from '../../isa/x86/x86-builder.ts';
import { PAGE_FLAG, PAGE_FLAGS_BASE, PAGE_SIZE, RAM_BASE } from '../layout.ts';
import { arrive } from './late-pages.ts';
import { TLB_ENTRY, TLB_INDEX_MASK } from './tlb.ts';

/** Physical address, bytes: a store went to a page that holds decoded code. */
export const codeWritten = external('codeWritten', ['i64', 'i32'], [], { class: 'engine' });

/** What an access is to `translate`. */
export function accessBits(x: X86Builder, access: AccessKind, write: boolean): Value {
  const base = write ? ACCESS.write : 0;
  if (access === 'supervisor') return x.const('i32', base | ACCESS.implicit);
  return x.or(x.select(x.eq(x.get(CPL), 3), x.const('i32', ACCESS.user), 0), base);
}

/** Translates one page and remembers it where it is RAM. Linear address, access bits, bank → physical address. */
const fill: Procedure = x86Procedure(
  { name: 'fill', parameters: ['i64', 'i32', 'i32'], results: ['i64'], mayFault: true },
  (x, linear, access, bank) => {
    x.set(TLB_MISSES, x.add(x.get(TLB_MISSES), 1));
    const [physical, info] = x.call(translate, linear, access);
    x.if(x.leU(x.get(RAM_SIZE), physical), () => x.return(physical));
    const flags = x.loadRaw('i8', x.add(x.trunc(x.shrU(physical, 12), 'i32'), PAGE_FLAGS_BASE));
    x.ifRarely(x.ne(x.and(flags, PAGE_FLAG.absent), 0), () => x.call(arrive, physical));
    const remembers = x.ne(bank, x.add(x.get(TLB_BANKS), TLB_BANK_EMPTY * TLB_BANK_SIZE));
    x.if(remembers, () => {
      const page = x.and(linear, -PAGE_SIZE);
      const entry = x.add(bank, x.and(x.trunc(x.shrU(linear, 7), 'i32'), TLB_INDEX_MASK));
      const plain = x.eq(x.and(flags, PAGE_FLAG.code), 0);
      const writable = x.and(plain, x.ne(x.and(info, TRANSLATION.writable), 0));
      x.if(x.ne(x.and(info, TRANSLATION.large), 0), () => {
        const half = x.select(x.ltS(linear, 0), x.const('i32', 2), 1);
        x.set(TLB_LARGE, x.or(x.get(TLB_LARGE), half));
      });
      x.storeRaw(entry, page);
      const global = x.ne(x.and(info, TRANSLATION.global), 0);
      x.storeRaw(x.add(entry, TLB_ENTRY.global), x.zext(global, 'i32'));
      x.storeRaw(x.add(entry, TLB_ENTRY.writeTag), x.select(writable, page, x.xor(page, PAGE_SIZE)));
      const host = x.add(x.trunc(x.and(physical, -PAGE_SIZE), 'i32'), RAM_BASE);
      x.storeRaw(x.add(entry, TLB_ENTRY.addend), x.sub(host, x.trunc(page, 'i32')));
    });
    x.return(physical);
  },
);

const bankOf = (x: X86Builder, access: AccessKind): Value =>
  x.get(access === 'supervisor' ? TLB_BANK_SUPERVISOR : TLB_BANK);

/** The bytes of a device register, 4 at a time. */
function readDevice(x: X86Builder, type: StateType, physical: Value): Value {
  const bytes = WIDTH[type] / 8;
  if (bytes <= 4) return x.trunc(x.call(deviceRead, physical, x.const('i32', bytes))[0], type as IntegerType);
  const words = Array.from(
    { length: bytes / 4 },
    (_, i) => x.call(deviceRead, x.add(physical, i * 4), x.const('i32', 4))[0],
  );
  const half = (i: number): Value => x.or(x.zext(words[i], 'i64'), x.shl(x.zext(words[i + 1], 'i64'), 32));
  return type === 'i64' ? half(0) : joinHalves(x, half(0), half(2));
}
function writeDevice(x: X86Builder, physical: Value, value: Value): void {
  const bytes = WIDTH[value.type] / 8;
  if (bytes <= 4) {
    x.call(deviceWrite, physical, x.const('i32', bytes), x.zext(value, 'i32'));
    return;
  }
  const halves = value.type === 'i64' ? [value] : [0, 1].map((lane) => x.op('i64x2.extract', [value], [lane]));
  for (const [i, half] of halves.entries()) {
    x.call(deviceWrite, x.add(physical, i * 8), x.const('i32', 4), x.trunc(half, 'i32'));
    x.call(deviceWrite, x.add(physical, i * 8 + 4), x.const('i32', 4), x.trunc(x.shrU(half, 32), 'i32'));
  }
}
const joinHalves = (x: X86Builder, low: Value, high: Value): Value =>
  x.op('i64x2.replace', [x.op('i64x2.replace', [x.const('i128', 0), low], [0]), high], [1]);

const rawAddress = (x: X86Builder, physical: Value): Value => x.add(x.trunc(physical, 'i32'), RAM_BASE);

/** One byte of RAM or a device, for accesses over two pages. */
const readByte: Procedure = x86Procedure({ name: 'readByte', parameters: ['i64'], results: ['i8'] }, (x, physical) => {
  x.if(x.ltU(physical, x.get(RAM_SIZE)), () => x.return(x.loadRaw('i8', rawAddress(x, physical))));
  x.return(readDevice(x, 'i8', physical));
});
const writeByte: Procedure = x86Procedure(
  { name: 'writeByte', parameters: ['i64', 'i8'], results: [] },
  (x, physical, value) => {
    x.if(
      x.ltU(physical, x.get(RAM_SIZE)),
      () => {
        x.storeRaw(rawAddress(x, physical), value);
        noteCode(x, physical, 1);
      },
      () => writeDevice(x, physical, value),
    );
    x.return();
  },
);
function noteCode(x: X86Builder, physical: Value, bytes: number): void {
  const frame = x.trunc(x.shrU(physical, 12), 'i32');
  x.if(x.ne(x.loadRaw('i8', x.add(frame, PAGE_FLAGS_BASE)), 0), () => {
    x.call(codeWritten, physical, x.const('i32', bytes));
  });
}

/** What every access at the current privilege is asked where something is watched. */
function watch(x: X86Builder, access: AccessKind, linear: Value, bytes: number, write: boolean): void {
  if (access === 'supervisor') return;
  x.if(x.ne(x.get(WATCHED), 0), () => {
    x.call(checkWatched, linear, x.const('i32', bytes), x.const('i32', write ? 1 : 0));
  });
}
const crosses = (x: X86Builder, linear: Value, bytes: number): Value =>
  x.ltU(x.const('i64', PAGE_SIZE - bytes), x.and(linear, PAGE_SIZE - 1));
/** Both pages are translated before a byte moves: the first page's fault comes first. */
function bothPages(x: X86Builder, linear: Value, bytes: number, access: Value, bank: Value): (i: number) => Value {
  const [first] = x.call(fill, linear, access, bank);
  const boundary = x.and(x.add(linear, bytes - 1), -PAGE_SIZE);
  const [second] = x.call(fill, boundary, access, bank);
  return (i) => {
    const at = x.add(linear, i);
    return x.select(x.ltU(at, boundary), x.add(first, i), x.add(second, x.sub(at, boundary)));
  };
}

function joinBytes(x: X86Builder, type: StateType, bytes: readonly Value[]): Value {
  if (type === 'i128')
    return joinHalves(x, joinBytes(x, 'i64', bytes.slice(0, 8)), joinBytes(x, 'i64', bytes.slice(8)));
  return bytes.map((b, i) => x.shl(x.zext(b, type), i * 8)).reduce((a, b) => x.or(a, b));
}
function byteOf(x: X86Builder, value: Value, i: number): Value {
  if (value.type !== 'i128') return x.trunc(x.shrU(value, i * 8), 'i8');
  return x.trunc(x.shrU(x.op('i64x2.extract', [value], [i >> 3]), (i & 7) * 8), 'i8');
}

const makeLoad = (type: StateType, access: AccessKind, forWrite: boolean): Procedure =>
  x86Procedure(
    {
      name: `load_${type}_${access}${forWrite ? '_for_write' : ''}`,
      parameters: ['i64'],
      results: [type],
      mayFault: true,
    },
    (x, linear) => {
      const bytes = WIDTH[type] / 8;
      watch(x, access, linear, bytes, false);
      const bits = accessBits(x, access, forWrite);
      const bank = bankOf(x, access);
      if (bytes > 1) {
        x.if(crosses(x, linear, bytes), () => {
          const at = bothPages(x, linear, bytes, bits, bank);
          x.return(
            joinBytes(
              x,
              type,
              Array.from({ length: bytes }, (_, i) => x.call(readByte, at(i))[0]),
            ),
          );
        });
      }
      const [physical] = x.call(fill, linear, bits, bank);
      x.if(x.leU(x.add(physical, bytes), x.get(RAM_SIZE)), () => x.return(x.loadRaw(type, rawAddress(x, physical))));
      x.return(readDevice(x, type, physical));
    },
  );

const makeStore = (type: StateType, access: AccessKind): Procedure =>
  x86Procedure(
    { name: `store_${type}_${access}`, parameters: ['i64', type], results: [], mayFault: true },
    (x, linear, value) => {
      const bytes = WIDTH[type] / 8;
      watch(x, access, linear, bytes, true);
      const bits = accessBits(x, access, true);
      const bank = bankOf(x, access);
      if (bytes > 1) {
        x.if(crosses(x, linear, bytes), () => {
          const at = bothPages(x, linear, bytes, bits, bank);
          for (let i = 0; i < bytes; i++) x.call(writeByte, at(i), byteOf(x, value, i));
          x.return();
        });
      }
      const [physical] = x.call(fill, linear, bits, bank);
      x.if(
        x.leU(x.add(physical, bytes), x.get(RAM_SIZE)),
        () => {
          x.storeRaw(rawAddress(x, physical), value);
          noteCode(x, physical, bytes);
        },
        () => writeDevice(x, physical, value),
      );
      x.return();
    },
  );

/** The stack, or an operand whose segment is the second parameter: an address that is none is the stack's to tell. */
function makeNamed(
  type: StateType,
  access: 'stack' | 'operand',
  what: 'load' | 'for_write' | 'store',
  base: Procedure,
): Procedure {
  const named = access === 'operand';
  const inputs: Type[] = what === 'store' ? ['i64', type] : ['i64'];
  return x86Procedure(
    {
      name: `${what}_${type}_${access}`,
      parameters: named ? [...inputs, 'i32'] : inputs,
      results: base.results,
      mayFault: true,
    },
    (x, ...parameters) => {
      const segment = named ? parameters[parameters.length - 1] : x.const('i32', SS_AT);
      x.if(x.eq(segment, SS_AT), () => x.call(checkStackAddress, parameters[0], x.const('i32', WIDTH[type] / 8)));
      x.return(...x.call(base, ...parameters.slice(0, inputs.length)));
    },
  );
}

const TYPES: readonly StateType[] = ['i8', 'i16', 'i32', 'i64', 'i128'];
const table = <T>(make: (type: StateType) => T): ReadonlyMap<Type, T> => new Map(TYPES.map((t) => [t, make(t)]));
type ByKind = Readonly<Record<AccessKind, ReadonlyMap<Type, Procedure>>>;
function byKind(
  what: 'load' | 'for_write' | 'store',
  make: (type: StateType, access: AccessKind) => Procedure,
): ByKind {
  const current = table((t) => make(t, 'current'));
  return {
    current,
    stack: table((t) => makeNamed(t, 'stack', what, current.get(t)!)),
    operand: table((t) => makeNamed(t, 'operand', what, current.get(t)!)),
    supervisor: table((t) => make(t, 'supervisor')),
  };
}
const LOADS = byKind('load', (t, access) => makeLoad(t, access, false));
const LOADS_FOR_WRITE = byKind('for_write', (t, access) => makeLoad(t, access, true));
const STORES = byKind('store', (t, access) => makeStore(t, access));

/** Those of the stack: handlers name the segment of an operand instead, regions need these. */
export const STACK_PATHS: readonly Procedure[] = [LOADS, LOADS_FOR_WRITE, STORES].flatMap((kind) => [
  ...kind.stack.values(),
]);

/** The procedure behind a load that misses the TLB: linear address, for an operand its segment too → value. */
export function slowLoad(type: Type, access: AccessKind, forWrite: boolean): Procedure {
  return (forWrite ? LOADS_FOR_WRITE : LOADS)[access].get(type)!;
}
/** The procedure behind a store that misses the TLB: linear address, value, for an operand its segment too. */
export function slowStore(type: Type, access: AccessKind): Procedure {
  return STORES[access].get(type)!;
}
