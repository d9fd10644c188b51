/** Where a case lives, natively and in the emulated processor alike, and the records that go to and come from the child process. */

/** The page whose start is executed. */
export const CODE_PAGE = 0x1000_0000;
/** The page that memory operands are confined to; its neighbours are not mapped. */
export const SCRATCH_PAGE = 0x2000_0000;
export const PAGE_SIZE = 0x1000;
/** Bases of FS and GS, with room on both sides. */
export const FS_BASE = SCRATCH_PAGE + 0x400;
export const GS_BASE = SCRATCH_PAGE + 0xa00;

/** Selectors of Linux, 64-bit and compatibility mode. */
export const CS64 = 0x33;
export const CS32 = 0x23;
export const DATA_SELECTOR = 0x2b;

/** Order of general registers in a signal frame (`struct sigcontext`), by register number. */
export const FRAME_INDEX = [13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7] as const;
export const FRAME = { rip: 16, flags: 17, selectors: 18, error: 19, trap: 20, cr2: 22, words: 23 } as const;
const FRAME_INPUT_WORDS = 19;

/** An FXSAVE image up to the end of XMM15; the rest is the kernel's. */
export const FX_BYTES = 416;
export const CODE_BYTES = 192;

/** What the child reads of each case: byte offsets. */
export const INPUT = {
  frame: 0,
  frameWords: FRAME_INPUT_WORDS,
  fx: 160,
  code: 576,
  scratch: 768,
  size: 768 + PAGE_SIZE,
} as const;
/** What it writes of each. */
export const OUTPUT = { frame: 0, signal: FRAME.words * 8, fx: 192, scratch: 640, size: 640 + PAGE_SIZE } as const;

/** The child's own memory, where no address that a case makes up is likely to lie. */
export const HARNESS = 0x5a5a_0000_0000;
export const ALTERNATE_STACK = { at: HARNESS + 0x1_0000, size: 0x1_0000 } as const;
export const INPUT_BUFFER = 0x5a5a_6000_0000;
export const OUTPUT_BUFFER = 0x5a5a_7000_0000;
export const BUFFER_BYTES = 0x100_0000;
/** Cases of one run of the child. */
export const MAX_CASES = Math.floor(BUFFER_BYTES / Math.max(INPUT.size, OUTPUT.size));
