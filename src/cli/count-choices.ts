/** Names of cost tables, apart from the tables, so that the command line knows them at once. */
export const COST_TABLE_NAMES = ['splitx-2011'] as const;
export type CostTableName = (typeof COST_TABLE_NAMES)[number];
