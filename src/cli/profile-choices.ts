/** Formats of `trapeze profile`. */
export const PROFILE_FORMATS = ['text', 'json', 'html'] as const;
export type ProfileFormat = (typeof PROFILE_FORMATS)[number];
