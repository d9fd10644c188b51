import assert from 'node:assert/strict';
import { test } from 'node:test';
import { machineOf } from './dropped-files.ts';

const file = (name: string, size: number, at = 0, bytes: readonly number[] = []) => {
  const content = new Uint8Array(size);
  content.set(bytes, at);
  return { name, blob: new Blob([content]) };
};
const linux = file('vmlinuz', 2000, 0x202, [0x48, 0x64, 0x72, 0x53]);
const cpio = file('initrd.img', 1000, 0, [0x1f, 0x8b]);
const saved = file('at-prompt.snap', 100, 0, [0x89, 0x54, 0x52, 0x41, 0x50, 0x0d, 0x0a, 0x1a]);
const qcow2 = file('root.qcow2', 100, 0, [0x51, 0x46, 0x49, 0xfb]);
const raw = file('root.img', 4096);

test('files are told by their content', async () => {
  assert.deepEqual(await machineOf([raw, cpio, linux]), {
    kernel: linux.blob,
    initrd: cpio.blob,
    snapshot: undefined,
    disks: [{ image: raw.blob, name: 'root.img', mode: 'cow' }],
  });
  assert.equal((await machineOf([saved])).snapshot, saved.blob);
  assert.equal((await machineOf([qcow2])).disks?.[0]?.image, qcow2.blob);
  const elf = file('kernel', 512, 0, [0x7f, 0x45, 0x4c, 0x46]);
  assert.equal((await machineOf([elf])).kernel, elf.blob);
});

test('what no machine can use is refused', async () => {
  await assert.rejects(machineOf([file('notes.txt', 7)]), /^UserError: notes.txt: no kernel/);
  await assert.rejects(machineOf([file('nothing', 0)]), /nothing: no kernel/);
  await assert.rejects(machineOf([linux, saved]), /^UserError: a snapshot has its own kernel/);
  await assert.rejects(machineOf([linux, { ...linux, name: 'other' }]), /vmlinuz and other are both of kind 'kernel'/);
});
