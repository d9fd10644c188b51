/**
 * The engine's linear memory: one `WebAssembly.Memory` holds the virtual CPU, its tables and, from `RAM_BASE`, guest RAM.
 *
 * | address | what |
 * |---|---|
 * | 0 | nothing: a null pointer stays one |
 * | `CPU_BASE` | state of the virtual CPU (`isa/x86/state.ts`) |
 * | `TLB_BASE` | software TLB, four banks for each of some address spaces |
 * | `ABSENT_PAGES` | how many pages of RAM have not come yet |
 * | `PAGE_FLAGS_BASE` | a byte for each page of RAM: bits of `PAGE_FLAG` |
 * | `COUNTERS_BASE` | counters of executed instructions, where a run counts them |
 * | `PROFILE_BASE` | counters of executed blocks, where a run is profiled |
 * | `RECORDS_BASE` | decoded instructions |
 * | `JUMP_CACHE_BASE` | instruction pointer to record |
 * | `RAM_BASE` | guest-physical address 0 |
 */
export const CPU_BASE = 0x1000;
export const TLB_BASE = 0x10000;
export const ABSENT_PAGES = 0xff000;
export const PAGE_FLAGS_BASE = 0x100000;
export const COUNTERS_BASE = 0x1c0000;
export const COUNTERS_END = 0x200000;
export const PROFILE_BASE = 0x200000;
export const PROFILE_END = 0x300000;
export const RECORDS_BASE = 0x300000;
export const RECORDS_END = 0x2c00000;
export const JUMP_CACHE_BASE = 0x2c00000;
export const RAM_BASE = 0x3000000;

export const PAGE_SIZE = 4096;
/** What is to be known of a page before it is reached: it holds decoded code; its bytes have not come yet. */
export const PAGE_FLAG = { code: 1, absent: 2 } as const;
/** Largest RAM: below the PCI hole, and within a 32-bit memory. */
export const MAX_RAM = 3 * 2 ** 30;
