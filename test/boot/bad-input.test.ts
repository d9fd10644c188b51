/** Kernels, initrds, disks and sizes that cannot work: one line each, and exit code 2. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Machine, type MachineOptions, UserError } from '../../src/host/node/index.ts';
import { multibootElf } from '../support/multiboot-elf.ts';
import { scratch, trapeze } from '../support/trapeze.ts';

const KERNEL = fileURLToPath(new URL('../../guest/images/vmlinuz-x86_64', import.meta.url));
const kernel = readFileSync(KERNEL);
const MIB = 2 ** 20;

/** The message with which a machine of these options refuses to run. */
async function refusal(options: MachineOptions): Promise<string> {
  const run = Machine.create(options).then((machine) => machine.run());
  const error = await run.then(
    ({ kind }) => assert.fail(`it ran and ended as ${kind}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof UserError)) throw error;
  assert.doesNotMatch(error.message, /\n/);
  return error.message;
}

test('on the command line each is one line and exit code 2', async (t) => {
  const file = scratch(t);
  const folder = file('folder');
  mkdirSync(folder);
  const noise = file('noise.bin', randomBytes(300_000));
  const cut = file('cut', kernel.subarray(0, kernel.length / 2));
  const large = file('large.img', new Uint8Array(80 * MIB));
  const empty = file('empty', '');
  const odd = file('odd.img', new Uint8Array(1000));
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['--kernel', noise], /noise\.bin is not a kernel: .* give one of these$/],
    [['--kernel', empty], /empty is not a kernel/],
    [['--kernel', cut], /cut is truncated: its header tells of \d+ bytes and the file has \d+; fetch or build/],
    [['--memory', '64M', '--initrd', large], /large\.img: 80 MiB of initrd does not fit .* at least \d+ MiB$/],
    [['--kernel', KERNEL, '--initrd', file('none')], /none: no such file/],
    [['--disk', folder], /folder is a directory; give a disk image file/],
    [['--disk', empty], /empty is empty; give it a size/],
    [['--disk', odd], /odd\.img has 1000 bytes, not a multiple of 512/],
    [['--disk', '/dev/null'], /\/dev\/null is not a regular file/],
    [['--memory', '4M'], /needs \d+ MiB of memory to start and the machine has 4 MiB; give it more/],
    [['--memory', '2M'], /--memory: 2M is out of range: choose 4M to 3G/],
    [['--memory', '4G'], /--memory: 4G is out of range: choose 4M to 3G/],
    [['--memory', '64.5M1'], /--memory: '64\.5M1' is not a size/],
    [['--append', 'x'.repeat(5000)], /command line has \d+ characters and this kernel takes \d+; shorten it/],
    [['--append', 'caf\u00e9'], /character that is not ASCII at position \d+; remove it/],
    [['--frobnicate'], /unknown option '--frobnicate'; see `trapeze run --help`/],
    [['stray'], /too many arguments/],
  ];
  for (const [words, line] of cases) {
    const { code, stdout, stderr } = await trapeze(['run', ...words]);
    assert.match(stderr, /^trapeze: [^\n]+\n$/, words.join(' '));
    assert.match(stderr.trimEnd(), line);
    assert.deepEqual([code, stdout], [2, ''], words.join(' '));
  }
});

test('a bzImage cut anywhere is refused', async () => {
  const header = [1, 100, 511, 512, 513, 528, 600, 620, 700, 1024];
  const parts = Array.from({ length: 20 }, (_, i) => Math.floor((kernel.length * (i + 1)) / 21));
  for (const length of [...header, ...parts, kernel.length - 4096]) {
    const message = await refusal({ kernel: kernel.subarray(0, length), memory: '64M' });
    assert.match(message, /kernel (is truncated|is not a kernel|has a damaged)/, `${length} bytes`);
  }
});

test('an ELF kernel cut anywhere is refused', async () => {
  const elf = multibootElf();
  for (let length = 0; length < elf.length; length += 3)
    await refusal({ kernel: elf.subarray(0, length), memory: '4M' });
});

test('an initrd as large as memory, and several that are too large together', async () => {
  const [memory, half] = ['64M', new Uint8Array(30 * MIB)];
  assert.match(await refusal({ memory, initrd: new Uint8Array(64 * MIB) }), /does not fit/);
  assert.match(await refusal({ memory, initrd: [half, half] }), /does not fit/);
});

test('after a refusal disks are closed and unchanged', async (t) => {
  const content = randomBytes(MIB);
  const path = scratch(t)('disk.img', content);
  await refusal({ kernel: new Uint8Array(1000), disks: [path] });
  assert(readFileSync(path).equals(content));
});
