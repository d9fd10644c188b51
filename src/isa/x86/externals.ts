/** What the processor core asks of its surroundings. */
import { external } from '../ir/procedure.ts';

/** Port, width in bytes → value. Reading may change a device. */
export const portRead = external('portRead', ['i32', 'i32'], ['i32'], { class: 'io', changes: true });
/** Port, width in bytes, value. */
export const portWrite = external('portWrite', ['i32', 'i32', 'i32'], [], { class: 'io' });
/** Physical address, width in bytes (1, 2, 4) → value. */
export const deviceRead = external('deviceRead', ['i64', 'i32'], ['i32'], { class: 'io', changes: true });
/** Physical address, width in bytes (1, 2, 4), value. */
export const deviceWrite = external('deviceWrite', ['i64', 'i32', 'i32'], [], { class: 'io' });
/**
 * How many elements an instruction that can be interrupted between them may do at once → how many it does. It comes to the same whatever
 * an engine answers, up to that number: there is the limit that a segment sets or a page ends, which nobody sees in the outcome.
 */
export const atOnce = external('atOnce', ['i64'], ['i64'], { class: 'engine' });
/**
 * Linear addresses to and from, bytes, each on the one page that was accessed last, and 1 for from the highest address down: copies where
 * both pages are plain memory → 1 if it did so. An engine may always leave it: then nothing happened.
 */
export const copyOnPage = external('copyOnPage', ['i64', 'i64', 'i32', 'i32'], ['i32'], {
  class: 'engine',
  changes: true,
});
/** As `copyOnPage`, without a direction: linear address, what each 8 bytes from there are, bytes. */
export const fillOnPage = external('fillOnPage', ['i64', 'i64', 'i32'], ['i32'], { class: 'engine', changes: true });
/** The time-stamp counter. */
export const timestamp = external('timestamp', [], ['i64'], { class: 'time' });
/** 64 random bits: they belong to nobody, and reading them changes nothing for others. */
export const entropy = external('entropy', [], ['i64'], { class: 'user' });
/** Leaf, subleaf → EAX, EBX, ECX, EDX. */
export const cpuid = external('cpuid', ['i32', 'i32'], ['i32', 'i32', 'i32', 'i32'], { class: 'control' });
/** Index of a register outside the core → its value, 1 if it exists. */
export const msrRead = external('msrRead', ['i32'], ['i64', 'i32'], { class: 'control' });
/** Index, value → 1 if it was taken. */
export const msrWrite = external('msrWrite', ['i32', 'i64'], ['i32'], { class: 'control', changes: true });
/** CR8, the task-priority class. */
export const taskPriorityRead = external('taskPriorityRead', [], ['i64'], { class: 'control' });
export const taskPriorityWrite = external('taskPriorityWrite', ['i64'], [], { class: 'control' });
/**
 * What `dropTranslations` drops: the page that holds an address; everything; everything of an address space but global pages. `enter`
 * goes to an address space, with bit 63 set without dropping what is known of it. An address space is named by its PCID.
 */
export const DROP = { page: 0, all: 1, space: 2, enter: 3 } as const;
/** Drops translations: one of `DROP`, and a linear address or a PCID. */
export const dropTranslations = external('dropTranslations', ['i32', 'i64'], [], { class: 'control' });
/** Drops what is known of ways by instruction pointer, not of addresses. */
export const forgetJumps = external('forgetJumps', [], [], { class: 'engine' });
