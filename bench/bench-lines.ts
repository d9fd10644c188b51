/** The lines by which the guest benchmark tells its results. */

export interface BenchLine {
  readonly name: string;
  readonly nanoseconds: number;
  /** Of all that the workload computed, in hexadecimal. */
  readonly checksum: string;
  readonly count: number;
  /** What `count` counts: `instructions`, or a workload's own operations. */
  readonly unit: string;
}

const LINE = /^BENCH (\S+) (\d+) ns ([0-9a-f]+) (\d+) (\S+)\s*$/gm;

export function parseBenchLines(output: string): BenchLine[] {
  return [...output.matchAll(LINE)].map(([, name, nanoseconds, checksum, count, unit]) => ({
    name,
    nanoseconds: Number(nanoseconds),
    checksum,
    count: Number(count),
    unit,
  }));
}
