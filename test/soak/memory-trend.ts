/** Whether a process's memory stays where it is. */

/** The start of a run, in which caches fill, is no part of the judgement. */
const WARM_UP = 1 / 4;
const TOLERANCE = 0.1;

export interface MemoryTrend {
  /** Medians of the first and of the last third after the warm-up. */
  readonly before: number;
  readonly after: number;
  readonly flat: boolean;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Judges samples taken at equal intervals; undefined where there are too few. */
export function memoryTrend(samples: readonly number[]): MemoryTrend | undefined {
  const judged = samples.slice(Math.floor(samples.length * WARM_UP));
  const third = Math.floor(judged.length / 3);
  if (third === 0) return undefined;
  const before = median(judged.slice(0, third));
  const after = median(judged.slice(-third));
  return { before, after, flat: Math.abs(after - before) <= before * TOLERANCE };
}
