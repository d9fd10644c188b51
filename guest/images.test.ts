import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const IMAGES = path.join(import.meta.dirname, 'images');
const ROOTFS = path.join(import.meta.dirname, 'rootfs');
const MEBIBYTE = 1 << 20;

const image = (name: string): Buffer => readFileSync(path.join(IMAGES, name));

test('the images are those that SHA256SUMS names', () => {
  const lines = image('SHA256SUMS').toString().trim().split('\n');
  const listed = lines.map((line) => line.split(/\s+/));
  assert.deepEqual(listed.map(([, name]) => name).toSorted(), ['initramfs-x86_64.cpio', 'vmlinuz-x86_64']);
  for (const [sum, name] of listed) {
    assert.equal(createHash('sha256').update(image(name!)).digest('hex'), sum, name);
  }
});

test('the images stay small', () => {
  assert.ok(image('vmlinuz-x86_64').length < 4 * MEBIBYTE);
  assert.ok(image('initramfs-x86_64.cpio').length < 2 * MEBIBYTE);
});

test('the initramfs holds the files of rootfs as they are now', () => {
  const archive = image('initramfs-x86_64.cpio');
  const items = readdirSync(ROOTFS, { recursive: true, withFileTypes: true });
  const files = items.filter((item) => item.isFile()).map((item) => path.join(item.parentPath, item.name));
  assert.ok(files.length > 0);
  for (const file of files) {
    const entry = `${path.relative(ROOTFS, file)}\0`;
    assert.ok(archive.includes(entry), `${file} is not in the initramfs`);
    assert.ok(archive.includes(readFileSync(file)), `${file} is not what is in the initramfs: run guest/build.sh`);
  }
});
