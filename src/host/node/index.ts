/**
 * The npm package on Node: `import { Machine } from 'trapeze'`.
 * The library itself (`src/api/`) does not know its platform; this joins the two.
 */
import type { Machine as ApiMachine } from '../../api/machine.ts';
import { createMachine } from '../../api/machine.ts';
import type { MachineOptions } from '../../api/options.ts';
import { restoreMachine } from '../../api/restore.ts';
import type { SnapshotSource } from '../../api/snapshot-sources.ts';
import { nodeHost } from './host.ts';
import { type NodeRestoreOptions, restoreFrom } from './restore.ts';

export type { TraceKind } from '../../api/choices.ts';
export type { TextMatch } from '../../api/console-text.ts';
export type { OutputListener, Port } from '../../api/machine.ts';
export type { DiskFile, MachineOptions, TerminalSize } from '../../api/options.ts';
export type { SaveOptions, SnapshotListener, SnapshotProgress } from '../../api/snapshot.ts';
export type { SnapshotSource } from '../../api/snapshot-sources.ts';
export type { CodeFigures, Statistics, VcpuFigures } from '../../api/statistics.ts';
export type { TimelineEvent, TimelineListener } from '../../api/timeline.ts';
export type { BlockBackend, FetchFigures } from '../../devices/contract.ts';
export type { Result } from '../../machine/board.ts';
export type { MachineState } from '../../machine/machine.ts';
export type { ArrivalFigures } from '../../snapshot/arrival.ts';
export type { RandomSource } from '../../snapshot/random-access.ts';
export type { ByteSource, ByteTarget } from '../../snapshot/streams.ts';
export { UserError } from '../../user-error.ts';
export type { NodeRestoreOptions } from './restore.ts';
export { saveToFile } from './snapshot-files.ts';

export type Machine = ApiMachine;

export const Machine = {
  /**
   * Makes a machine, powered off; `run()` starts it.
   * @throws UserError when an option is wrong or a file cannot be used.
   */
  create: (options?: MachineOptions): Promise<Machine> => createMachine(nodeHost, options),
  /**
   * Makes a machine as a snapshot has it, in a file, at an address that begins with http:// or https://, a stream or what can be read at any
   * place; `run()` goes on from there.
   * @throws UserError when the snapshot is damaged or does not fit.
   */
  restore: (snapshot: string | SnapshotSource, options: NodeRestoreOptions = {}): Promise<Machine> =>
    restoreFrom(snapshot, options, (source, all) => restoreMachine(nodeHost, source, all)),
} as const;
