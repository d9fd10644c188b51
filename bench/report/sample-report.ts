/** A made-up report for tests. */
import type { Sample } from '../measurements.ts';
import type { PeerName } from '../peers/peer.ts';
import { Results } from '../results.ts';
import type { Report } from './report.ts';

const SECONDS = { kind: 'seconds' } as const;
const RATE = { kind: 'rate', of: 'instructions' } as const;

const BOOT = { name: 'boot-embedded', group: 'boot', unit: SECONDS } as const;
const SORT = { name: 'integer-sort', group: 'workload', unit: RATE } as const;
const BUSYBOX = { name: 'busybox-sort', group: 'workload', unit: SECONDS } as const;
const NBODY = { name: 'float-nbody', group: 'workload', unit: RATE } as const;

const VALUES: readonly [Omit<Sample, 'value'>, Partial<Record<PeerName, readonly number[]>>][] = [
  [BOOT, { trapeze: [0.7, 0.8, 1.2], 'qemu-tcg': [1.6, 1.6, 1.6] }],
  [SORT, { trapeze: [0.95e9, 1e9, 1.1e9], 'qemu-tcg': [5e8], native: [4e9] }],
  [BUSYBOX, { trapeze: [0.5], 'qemu-tcg': [0.25], native: [0.125] }],
  [NBODY, { trapeze: [1e9], 'qemu-tcg': [1e9], native: [4e9] }],
];

export function sampleReport(changes: Partial<Report> = {}): Report {
  const results = new Results();
  for (const [sample, peers] of VALUES)
    for (const [peer, values] of Object.entries(peers) as [PeerName, number[]][])
      for (const value of values) results.add(peer, { ...sample, value });
  return {
    info: {
      processor: 'Some processor',
      processors: 2,
      memoryMiB: 1024,
      system: 'Linux 6.1 x64',
      load: 1.5,
      date: '2026-01-02T03:04:05.678Z',
    },
    peers: [
      { name: 'trapeze', version: 'Trapeze 1' },
      { name: 'qemu-tcg', version: 'QEMU <7.2>' },
      { name: 'native', version: 'Some processor' },
    ],
    runs: 3,
    repeats: 5,
    rows: results.rows,
    problems: [],
    ...changes,
  };
}
