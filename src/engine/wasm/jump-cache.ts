/** The jump cache: linear instruction pointer to record, as generated code reads it. */
import { JUMP_EPOCH, JUMP_EPOCH_HIGH } from '../../isa/x86/state.ts';
import { JUMP_CACHE_BASE } from '../layout.ts';
import type { Emitter } from './emitter.ts';
import { writeLoad } from './op-code.ts';

/** Entries: key (8 bytes), record (4); a page of code has `slots` of them, one for each byte: blocks of one page never displace each other. */
export const JUMP_CACHE = { pages: 64, slots: 4096, entrySize: 16 } as const;

/** The upper half of the address space has an epoch of its own. */
function pushEpoch(e: Emitter, linear: number, long: boolean): void {
  e.load('i64', JUMP_EPOCH);
  if (!long) return;
  e.load('i64', JUMP_EPOCH_HIGH);
  e.get(linear);
  e.i64(0n);
  e.op('i64_ge_s', 'select');
}

/** A page's entries lie together, so that one page can be dropped. */
function pushEntry(e: Emitter, linear: number): void {
  const low = (): void => {
    e.get(linear);
    e.op('i32_wrap_i64');
  };
  low();
  e.i32(12);
  e.op('i32_shr_u');
  e.i32(JUMP_CACHE.pages - 1);
  e.op('i32_and');
  e.i32(Math.log2(JUMP_CACHE.slots));
  e.op('i32_shl');
  low();
  low();
  e.i32(Math.log2(JUMP_CACHE.slots));
  e.op('i32_shr_u', 'i32_xor');
  e.i32(JUMP_CACHE.slots - 1);
  e.op('i32_and', 'i32_or');
  e.i32(Math.log2(JUMP_CACHE.entrySize));
  e.op('i32_shl');
}

/** Pushes whether the cache has the address in the local `linear`; the place of its entry goes to the local `entry`. */
export function pushIsCached(e: Emitter, linear: number, entry: number, long: boolean): void {
  pushEntry(e, linear);
  e.op('local_tee');
  e.code.u32(entry);
  writeLoad(e.code, 'i64', JUMP_CACHE_BASE);
  e.get(linear);
  pushEpoch(e, linear, long);
  e.op('i64_xor', 'i64_eq');
}

/** Pushes the record that an entry leads to. */
export function pushCachedRecord(e: Emitter, entry: number): void {
  e.get(entry);
  writeLoad(e.code, 'i32', JUMP_CACHE_BASE + 8);
}
