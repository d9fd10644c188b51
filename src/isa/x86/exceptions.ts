/** Exception vectors (SDM vol. 3 table 6-1). */
export const VECTOR = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;

/** Names by vector, for dumps and traces. */
export const VECTOR_NAMES: readonly (string | undefined)[] = Object.entries(VECTOR).reduce<(string | undefined)[]>(
  (names, [name, vector]) => {
    names[vector] = name === 'NMI' ? name : `#${name}`;
    return names;
  },
  [],
);
