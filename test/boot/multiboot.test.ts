/** A Multiboot kernel sees what its loader promises. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MULTIBOOT_EXIT, multibootElf } from '../support/multiboot-elf.ts';
import { scratch, trapeze } from '../support/trapeze.ts';

test('an ELF kernel finds the magic number, its command line and a module', async (t) => {
  const file = scratch(t);
  const kernel = file('kernel.elf', multibootElf());
  const module = file('module.txt', 'what the module holds\n');
  const options = ['--kernel', kernel, '--initrd', module, '--append', 'one two=3', '--debug-exit', '0xf4'];
  const { code, stdout, stderr } = await trapeze(['run', '--memory', '4M', ...options]);
  assert.equal(stderr, '');
  assert.equal(stdout, `${kernel} one two=3|${module}=what the module holds\n`);
  assert.equal(code, (MULTIBOOT_EXIT.well << 1) | 1);
});

test('on the reference engine too', async (t) => {
  const kernel = scratch(t)('kernel.elf', multibootElf());
  const options = ['--kernel', kernel, '--initrd', kernel, '--append', 'x', '--debug-exit', '0xf4'];
  const { code, stdout } = await trapeze(['run', '--memory', '4M', '--engine', 'reference', ...options]);
  assert.ok(stdout.startsWith(`${kernel} x|${kernel}=\x7fELF`), stdout);
  assert.equal(code, (MULTIBOOT_EXIT.well << 1) | 1);
});
