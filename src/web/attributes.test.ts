import assert from 'node:assert/strict';
import { test } from 'node:test';
import { optionsFrom } from './attributes.ts';

const from = (attributes: Record<string, string>) =>
  optionsFrom((name) => attributes[name] ?? null, 'https://example.org/a/page.html');

test('addresses are meant from the page', () => {
  const { image, kernel, initrd, snapshotBase, disks } = from({
    image: 'at-prompt.snap\n/root.img',
    kernel: 'vmlinuz',
    initrd: '/initrd.gz',
    'snapshot-base': '../base.snap',
    disk: 'root.img,overlay=mine,cache=blocks https://other.example/b,1.img,ro\n x.img,cow',
  });
  assert.deepEqual(image, ['https://example.org/a/at-prompt.snap', 'https://example.org/root.img']);
  assert.equal(kernel, 'https://example.org/a/vmlinuz');
  assert.equal(snapshotBase, 'https://example.org/base.snap');
  assert.equal(initrd, 'https://example.org/initrd.gz');
  assert.deepEqual(disks, [
    { image: 'https://example.org/a/root.img', overlay: 'mine', cache: 'blocks' },
    { image: 'https://other.example/b,1.img', mode: 'ro' },
    { image: 'https://example.org/a/x.img', mode: 'cow' },
  ]);
});

test('nothing said, nothing asked for', () => {
  const { disks, profile, ...rest } = from({});
  assert.deepEqual([disks, profile], [[], false]);
  assert.ok(Object.values(rest).every((value) => value === undefined));
});

test('what is no address or no choice is refused', () => {
  assert.throws(() => from({ kernel: 'http://' }), /^UserError: kernel="http:\/\/" is not an address/);
  assert.throws(() => from({ load: 'late' }), /^UserError: load="late": choose demand or whole/);
});
