/**
 * The npm package on Node: `import { Machine } from 'trapeze'`.
 * The library itself (`src/api/`) does not know its platform; this joins the two.
 */
import type { Machine as ApiMachine } from '../../api/machine.ts';
import { createMachine } from '../../api/machine.ts';
import type { MachineOptions } from '../../api/options.ts';
import type { RestoreOptions } from '../../api/restore.ts';
import { restoreMachine } from '../../api/restore.ts';
import type { ByteSource } from '../../snapshot/streams.ts';
import { nodeHost } from './host.ts';
import { withSource } from './snapshot-files.ts';

export type { TraceKind } from '../../api/choices.ts';
export type { TextMatch } from '../../api/console-text.ts';
export type { OutputListener, Port } from '../../api/machine.ts';
export type { DiskFile, MachineOptions, TerminalSize } from '../../api/options.ts';
export type { SaveOptions, SnapshotListener, SnapshotProgress } from '../../api/snapshot.ts';
export type { CodeFigures, Statistics, VcpuFigures } from '../../api/statistics.ts';
export type { TimelineEvent, TimelineListener } from '../../api/timeline.ts';
export type { BlockBackend, FetchFigures } from '../../devices/contract.ts';
export type { MachineState, Result } from '../../machine/machine.ts';
export type { ByteSource, ByteTarget } from '../../snapshot/streams.ts';
export { UserError } from '../../user-error.ts';
export { saveToFile } from './snapshot-files.ts';

/** As `RestoreOptions`; the base may be a file too. */
export interface NodeRestoreOptions extends Omit<RestoreOptions, 'base'> {
  readonly base?: string | ByteSource | undefined;
}

export type Machine = ApiMachine;

export const Machine = {
  /**
   * Makes a machine, powered off; `run()` starts it.
   * @throws UserError when an option is wrong or a file cannot be used.
   */
  create: (options?: MachineOptions): Promise<Machine> => createMachine(nodeHost, options),
  /**
   * Makes a machine as a snapshot has it, in a file or a stream; `run()` goes on from there.
   * @throws UserError when the snapshot is damaged or does not fit.
   */
  restore: (snapshot: string | ByteSource, { base, ...options }: NodeRestoreOptions = {}): Promise<Machine> =>
    withSource(base, (baseSource) =>
      withSource(snapshot, (source) => restoreMachine(nodeHost, source!, { ...options, base: baseSource })),
    ),
} as const;
