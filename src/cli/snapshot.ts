/** `trapeze snapshot save` and `info`. */
import process from 'node:process';
import { verifySnapshot } from '../api/describe-snapshot.ts';
import { formatSize } from '../api/size.ts';
import { Machine, UserError } from '../host/node/index.ts';
import { shownName } from '../host/node/remote-disk.ts';
import { withSnapshotStream } from '../host/node/snapshot-files.ts';
import type { SnapshotDescription } from '../snapshot/description.ts';
import { type DiskMode, modeOf } from '../snapshot/disk-identity.ts';
import { showProgress } from './progress.ts';
import { named, run } from './run.ts';
import type { RunFlags } from './run-options.ts';

export interface SaveFlags extends RunFlags {
  readonly at: string;
}

export interface InfoFlags {
  readonly json?: boolean;
}

/** Boots a machine, saves it when the guest has printed a text, and ends it; the result is the exit code. */
export function save(file: string, flags: SaveFlags): Promise<number> {
  if (flags.at === '') throw new UserError("--at: give a text that the guest prints, such as 'login: '");
  return run(flags, Machine, { file, text: flags.at });
}

/** Checks a snapshot and prints what is in it. */
export async function info(file: string, { json = false }: InfoFlags): Promise<void> {
  let done = 0;
  const clear = showProgress(() => `checking ${shownName(file)} (${Math.round(done / 2 ** 20)} MiB)`);
  try {
    const { saved, bytes } = await named([file], () =>
      withSnapshotStream(file, (source) => verifySnapshot(source, (bytes) => (done = bytes))),
    );
    clear();
    process.stdout.write(json ? `${JSON.stringify({ ...saved, bytes }, null, 2)}\n` : text(saved, bytes));
  } finally {
    clear();
  }
}

const MODE_TEXT: Readonly<Record<DiskMode, string>> = {
  cow: 'copy-on-write, its changes are in the snapshot',
  ro: 'read-only',
  overlay: 'its changes are in the overlay',
  rw: 'writable',
};
const NS_PER_S = 1e9;

function text(saved: SnapshotDescription, bytes: number): string {
  const { id, base, memory, clock, savedAtMs, instructions, guestNs, disks } = saved;
  const rows = [
    ['snapshot', `${id}, whole, ${(bytes / 2 ** 20).toFixed(1)} MiB`],
    ...(base === null ? [] : [['base', `${base}, which has the pages of memory that are not in this one`]]),
    ['taken', new Date(savedAtMs).toISOString()],
    [
      'guest',
      `${(guestNs / NS_PER_S).toFixed(1)} s and ${(instructions / 1e6).toFixed(1)} M instructions after power-on`,
    ],
    ['memory', formatSize(memory)],
    ['clock', clock],
    ...disks.map((disk, i) => [
      `disk ${i + 1}`,
      `${disk.name || 'unnamed'}, ${disk.size} bytes, ${MODE_TEXT[modeOf(disk)]}`,
    ]),
  ];
  return rows.map(([name, value]) => `${name!.padEnd(10)}${value}\n`).join('');
}
