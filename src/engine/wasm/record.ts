/** A decoded instruction in linear memory, as the interpreter walks it. */
import type { FieldName } from '../../isa/ir/types.ts';

/** Bytes of a record. */
export const RECORD_SIZE = 32;

/**
 * Byte positions. `index`: instructions before it in its block. Links share the displacement's place: no instruction has both. `target`, where
 * a jump to a computed address went last, has the immediate's place where the instruction has none.
 */
export const RECORD_AT = {
  handler: 0,
  length: 2,
  index: 3,
  offset: 4,
  segment: 6,
  reg: 8,
  rm: 10,
  indexRegister: 12,
  scale: 14,
  flags: 15,
  immediate: 16,
  target: 16,
  displacement: 24,
  link: [24, 28],
} as const;

/** Bit of `flags`: the instruction lies on two pages, so that no link may lead to it. */
export const CROSSES_PAGE = 1;
/** Bit of `flags`: the handler is a region, which ends with the next instruction looked up or with an exception delivered. */
export const IS_REGION = 2;

export interface FieldPlace {
  readonly at: number;
  /** Bytes. */
  readonly size: 1 | 2 | 4 | 8;
}
/** Where each operand field lies; unsigned but for the displacement, whose type is as wide as it. */
export const FIELD_PLACES: Readonly<Record<FieldName, FieldPlace>> = {
  length: { at: RECORD_AT.length, size: 1 },
  offset: { at: RECORD_AT.offset, size: 2 },
  segment: { at: RECORD_AT.segment, size: 2 },
  reg: { at: RECORD_AT.reg, size: 2 },
  rm: { at: RECORD_AT.rm, size: 2 },
  index: { at: RECORD_AT.indexRegister, size: 2 },
  scale: { at: RECORD_AT.scale, size: 1 },
  displacement: { at: RECORD_AT.displacement, size: 4 },
  immediate: { at: RECORD_AT.immediate, size: 8 },
};

/** Handlers that are no instruction. */
export const PSEUDO = {
  /** The code of this record was overwritten: look the instruction up again. */
  stale: 0,
  /** Goes to RIP. */
  start: 1,
  /** An exception waits, noted at RIP. */
  fault: 2,
  /** The block ends here: goes to the instruction at this record's offset. */
  fallThrough: 3,
  /** A block starts here: counts how often it is entered. Has `COUNT_AT`. */
  enter: 4,
} as const;
export const PSEUDO_COUNT = 5;
/**
 * In the record that counts entries: those left until the block is looked at, the frame that the block is in, how many were left at first, and
 * the low half of the count of instructions when it was looked at last.
 */
export const COUNT_AT = { left: 16, frame: 20, whole: 24, looked: 28 } as const;
