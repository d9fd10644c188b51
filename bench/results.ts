/** Collects samples over the repetitions and peers. */
import type { Group, Sample, Unit } from './measurements.ts';
import type { PeerName } from './peers/peer.ts';

export interface Row {
  readonly name: string;
  readonly group: Group;
  readonly unit: Unit;
  /** Values in the order of measuring, by peer. */
  readonly samples: Partial<Record<PeerName, number[]>>;
}

export class Results {
  readonly #rows = new Map<string, Row>();
  readonly #checksums = new Map<string, { peer: string; checksum: string }>();
  /** Runs that failed, and peers that computed something else than another: one line each. */
  readonly problems: string[] = [];

  get rows(): readonly Row[] {
    return [...this.#rows.values()];
  }

  add(peer: PeerName, { name, group, unit, value, checksum }: Sample): void {
    const row = this.#rows.get(name) ?? { name, group, unit, samples: {} };
    this.#rows.set(name, row);
    (row.samples[peer] ??= []).push(value);
    if (checksum !== undefined) this.#compare(peer, name, checksum);
  }

  #compare(peer: string, name: string, checksum: string): void {
    const first = this.#checksums.get(name);
    if (first === undefined) this.#checksums.set(name, { peer, checksum });
    else if (first.checksum !== checksum)
      this.problems.push(`${name}: ${peer} computed ${checksum}, ${first.peer} ${first.checksum}`);
  }
}
