/** The few numbers that stand for all: geometric means of Trapeze's speed beside each other peer. */
import type { PeerName } from '../peers/peer.ts';
import type { Row } from '../results.ts';
import { geometricMean } from '../statistics.ts';
import { ratio } from './figures.ts';
import type { Report } from './report.ts';

/** Work for which a processor alone is enough: the set whose mean is held against native. */
const COMPUTE: readonly string[] = [
  'integer-arithmetic',
  'integer-sha256',
  'integer-sieve',
  'integer-sort',
  'integer-bytecode',
  'integer-calls',
  'float-mandelbrot',
  'float-nbody',
];

export interface Mean {
  readonly of: 'workloads' | 'compute workloads';
  readonly peer: PeerName;
  /** How many rows both have. */
  readonly count: number;
  /** How many times as fast Trapeze is. */
  readonly value: number;
}

export interface Summary {
  readonly means: readonly Mean[];
  /** Workloads in which Trapeze is slower than QEMU's translator. */
  readonly slowerThanTcg: readonly string[];
}

function mean(of: Mean['of'], rows: readonly Row[], peer: PeerName): Mean[] {
  const ratios = rows.map((row) => ratio(row, 'trapeze', peer)).filter((value) => value !== undefined);
  return ratios.length < 2 ? [] : [{ of, peer, count: ratios.length, value: geometricMean(ratios) }];
}

export function summarize({ rows, peers }: Pick<Report, 'rows' | 'peers'>): Summary {
  const workloads = rows.filter(({ group }) => group === 'workload');
  const compute = workloads.filter(({ name }) => COMPUTE.includes(name));
  const others = peers.map(({ name }) => name).filter((name) => name !== 'trapeze');
  return {
    means: others.flatMap((peer) => [
      ...mean('workloads', workloads, peer),
      ...mean('compute workloads', compute, peer),
    ]),
    slowerThanTcg: workloads.filter((row) => (ratio(row, 'trapeze', 'qemu-tcg') ?? 1) < 1).map(({ name }) => name),
  };
}
