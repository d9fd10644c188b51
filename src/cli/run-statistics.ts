/** Statistics of a run, for a file and for a person. */
import process from 'node:process';
import type { Statistics } from '../host/node/index.ts';

/** Memory of this process, in bytes: now, and at its largest. Guest RAM counts as far as it was touched. */
export function processMemory(): { residentBytes: number; peakResidentBytes: number } {
  // Node gives the peak in KiB on every platform (process.resourceUsage).
  return { residentBytes: process.memoryUsage.rss(), peakResidentBytes: process.resourceUsage().maxRSS * 1024 };
}

/** One line. */
export function summary({ instructions, wallSeconds, instructionsPerSecond }: Statistics): string {
  const millions = (count: number): string => `${(count / 1e6).toFixed(1)} M`;
  return `${wallSeconds.toFixed(1)} s, ${millions(instructions)} instructions, ${millions(instructionsPerSecond)} a second`;
}
