/** What executes guest code: `translator` translates everything at once, for tests; `both` what is hot. */
export const TIERS = ['both', 'interpreter', 'translator'] as const;
export type Tier = (typeof TIERS)[number];
