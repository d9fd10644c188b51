/** QEMU's programs for disk images: the oracle of the tests of qcow2. */
import { spawnSync } from 'node:child_process';
import { installPackage } from '../../bench/peers/debian-package.ts';

const PACKAGE = 'qemu-utils';
const PATIENCE_MS = 120_000;

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, words: readonly string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8', timeout: PATIENCE_MS });
  return { status, stdout, stderr };
}

/** Runs `qemu-img`, whatever comes of it. */
export const tryQemuImg = (...words: string[]): Outcome => run('qemu-img', words);

/** Runs `qemu-img`. @throws Error when it fails */
export function qemuImg(...words: string[]): string {
  const { status, stdout, stderr } = tryQemuImg(...words);
  if (status !== 0) throw new Error(`qemu-img ${words.join(' ')}: ${stderr}${stdout}`);
  return stdout;
}

/** Runs commands of `qemu-io` on a qcow2 image; those that the image has no room for fail alone. */
export function qemuIo(image: string, commands: readonly string[]): void {
  run('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), image]);
}

let problem: string | undefined | null = null;

/** Why there is no `qemu-img`; undefined when there is. Installs it where that takes no question to anyone. */
export function qemuImgMissing(): string | undefined {
  if (problem === null) {
    const here = (): boolean => tryQemuImg('--version').status === 0;
    const failed = here() ? undefined : installPackage(PACKAGE);
    problem = here() ? undefined : `qemu-img is not here and cannot be installed (${failed})`;
  }
  return problem;
}
