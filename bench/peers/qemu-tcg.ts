/** QEMU's translator to native code, with one processor that has all it can do. */
import { spawnSync } from 'node:child_process';
import { installPackage } from './debian-package.ts';
import { type Guest, guestOf, type Peer } from './peer.ts';

const PROGRAM = 'qemu-system-x86_64';
const PACKAGE = 'qemu-system-x86';

function installedVersion(): string | undefined {
  const { status, stdout } = spawnSync(PROGRAM, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.split('\n')[0] : undefined;
}

/** One port, as Trapeze's console has: with more, Linux finds them only after it has started the first process. */
const VIRTIO_CONSOLE = ['-device', 'virtio-serial-pci,max_ports=1', '-device', 'virtconsole,chardev=terminal,nr=0'];

function consoleArguments(guest: Guest): string[] {
  const backend = ['-chardev', 'stdio,id=terminal,signal=off'];
  return [...backend, ...(guest.console === 'serial' ? ['-serial', 'chardev:terminal'] : VIRTIO_CONSOLE)];
}

function machineArguments(guest: Guest): string[] {
  return [
    ...['-accel', 'tcg', '-machine', 'pc', '-cpu', 'max', '-smp', '1', '-m', `${guest.memoryMiB}M`],
    ...['-no-user-config', '-nodefaults', '-display', 'none', '-no-reboot', ...consoleArguments(guest)],
    ...['-kernel', guest.kernel, '-initrd', guest.initrd, '-append', guest.append],
  ];
}

/** The peer, or why there is none. `progress` is told before something takes long. */
export function qemuTcg(progress: (line: string) => void): Peer | { readonly missing: string } {
  let version = installedVersion();
  if (version === undefined) {
    progress(`installing Debian's package ${PACKAGE}, once`);
    const problem = installPackage(PACKAGE);
    version = installedVersion();
    if (version === undefined) return { missing: `QEMU is not here and cannot be installed (${problem})` };
  }
  return {
    name: 'qemu-tcg',
    version: `${version}, -accel tcg -cpu max`,
    command: (job) => (job.kind === 'part' ? undefined : { file: PROGRAM, arguments: machineArguments(guestOf(job)) }),
  };
}
