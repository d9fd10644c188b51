/** Why a region is left; regions count each cause at its index in `REGION_EXIT_COUNTS`. */
export const REGION_EXITS = [
  /** A direct branch leads out of the region. */
  'jump',
  /** A return or a jump to a computed address that is not known. */
  'computedJump',
  /** The code goes on with an instruction that the main loop must see, or beyond the region's size. */
  'barrier',
  /** The budget of instructions is spent, or an interrupt waits. */
  'budget',
  /** A store reached code. */
  'codeDropped',
  /** An exception. */
  'fault',
] as const;
export type RegionExit = (typeof REGION_EXITS)[number];
