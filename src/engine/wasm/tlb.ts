/** The software TLB: direct-mapped, hashed by page number; an entry is the combined result of every stage of translation. */

/**
 * Byte positions in an entry. A tag is the linear address of the page or, for none, of a page that another entry is for; `addend` plus
 * the low half of a linear address is an address in linear memory. `global` is 1 for a page that a change of CR3 leaves alone.
 */
export const TLB_ENTRY = { readTag: 0, writeTag: 8, addend: 16, global: 20, size: 32 } as const;
export const TLB_ENTRIES = 1024;
/** `(address >> 7) & TLB_INDEX_MASK` is the byte offset of a page's entry in its bank. */
export const TLB_INDEX_MASK = (TLB_ENTRIES - 1) * TLB_ENTRY.size;
/** Address spaces that the TLB holds; the banks of each lie together. */
export const TLB_SPACES = 7;
/** Supervisor; supervisor with SMAP guarding user pages; user; one that stays empty, for accesses that need a closer look. */
export const TLB_BANKS_COUNT = 4;
