/** Commands run where a directory is a file system of its own that is soon full. */
import { spawn, spawnSync } from 'node:child_process';
import process from 'node:process';
import { COMMAND, type Outcome } from './trapeze.ts';

const MOUNT = 'mount -t tmpfs -o size="$2" tmpfs "$1" && cd "$1" && shift 2 && exec "$@"';
const PATIENCE_MS = 120_000;

/** A mount of its own, as root or as the root of a user namespace: it goes away with the process. */
const WAYS: readonly (readonly string[])[] = [
  ['unshare', '--mount'],
  ['unshare', '--user', '--map-root-user', '--mount'],
];

const way = WAYS.find(([command, ...options]) => {
  const mounted = spawnSync(command!, [...options, 'sh', '-c', MOUNT, 'sh', '/tmp', '64k', 'true']);
  return mounted.status === 0;
});

/** Why file systems cannot be made here, or false. */
export const withoutSmallFileSystem =
  way === undefined && 'SKIPPED: no tmpfs can be mounted here, so full host disks were not tested';

/**
 * Runs the command in `directory`, on which a file system of `size` (such as `1m`) lies that only it sees and that is also its place
 * for temporary files. `before` is shell run first.
 */
export async function trapezeOn(
  directory: string,
  size: string,
  before: string,
  words: readonly string[],
  input: string,
): Promise<Outcome> {
  const [command, ...options] = way!;
  const run = ['sh', '-c', `${before}; exec "$@"`, 'sh', process.execPath, COMMAND, ...words];
  const child = spawn(command!, [...options, 'sh', '-c', MOUNT, 'sh', directory, size, ...run], {
    env: { ...process.env, TMPDIR: directory },
    timeout: PATIENCE_MS,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes));
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code: code ?? signal, stdout, stderr }));
  });
}
