/** A case of the processor check: registers, memory and code before; registers, memory and the ending exception after. */

export interface Registers {
  /** RAX…R15 in order of their numbers. */
  readonly general: BigUint64Array;
  rip: bigint;
  flags: number;
  /** An FXSAVE image up to XMM15. */
  readonly fx: Uint8Array;
  /** The scratch page. */
  readonly scratch: Uint8Array;
}

export interface Case extends Registers {
  readonly mode: 32 | 64;
  /** From the start of the code page; INT3 follows the last instruction. */
  readonly code: Uint8Array;
}

export interface Outcome extends Registers {
  /** The exception that ended it: #BP where it ran to its end. */
  readonly vector: number;
  /** 0 for exceptions without one. */
  readonly errorCode: number;
  /** CR2 of a page fault. */
  readonly faultAddress: bigint | undefined;
}
