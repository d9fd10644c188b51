/** What a run of the benchmark found: what every form of the report is made from. */
import type { MachineInfo } from '../machine-info.ts';
import type { PeerName } from '../peers/peer.ts';
import type { Row } from '../results.ts';

export interface Report {
  readonly info: MachineInfo;
  /** In the order of columns. */
  readonly peers: readonly { readonly name: PeerName; readonly version: string }[];
  readonly runs: number;
  readonly repeats: number;
  readonly rows: readonly Row[];
  readonly problems: readonly string[];
}
