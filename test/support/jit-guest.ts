/** The program of `test/guest/jit.c` as the first process of the kernel that comes with Trapeze. */
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { writeCpio } from '../../guest/cpio.ts';
import { CACHE } from './debian.ts';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const OPTIONS = `-std=gnu11 -Wall -Wextra -Werror -O2 -march=x86-64 -ffreestanding -fno-tree-loop-distribute-patterns
  -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-pie -no-pie -static -nostdlib
  -Wl,--build-id=none -s`.split(/\s+/);

/** One way of writing code, as the program reports it. */
export interface JitResult {
  readonly name: string;
  readonly rewrites: number;
  readonly wrong: number;
  readonly nanoseconds: number;
}

/** Builds the program; its initramfs, or why it cannot be had here. */
export async function jitInitramfs(): Promise<Uint8Array | { readonly missing: string }> {
  await mkdir(CACHE, { recursive: true });
  const program = path.join(CACHE, `jit.${process.pid}`);
  try {
    await promisify(execFile)('gcc', [...OPTIONS, here('../guest/jit.c'), '-o', program]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { missing: 'gcc is not on this machine' };
    throw error;
  }
  const content = await readFile(program);
  await rm(program);
  return writeCpio([
    { type: 'directory', path: 'dev' },
    { type: 'character', path: 'dev/console', major: 5, minor: 1 },
    { type: 'file', path: 'init', mode: 0o755, content },
  ]);
}

export const jitResults = (text: string): JitResult[] =>
  [...text.matchAll(/^JIT ([\w-]+) (\d+) rewrites (\d+) wrong (\d+) ns\r?$/gm)].map(
    ([, name, rewrites, wrong, nanoseconds]) => ({
      name: name!,
      rewrites: Number(rewrites),
      wrong: Number(wrong),
      nanoseconds: Number(nanoseconds),
    }),
  );
