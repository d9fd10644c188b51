/** Formats of `trapeze isa`. */
export const ISA_FORMATS = ['text', 'json', 'html'] as const;
export type IsaFormat = (typeof ISA_FORMATS)[number];
