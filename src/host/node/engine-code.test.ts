import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cachedCode } from './engine-code.ts';

/** Sources of one file each, and a place for code made of them. */
function place(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'engine-code-'));
  t.after(() => rmSync(root, { recursive: true }));
  const [sources, folder] = [join(root, 'src'), join(root, 'cache')];
  for (const name of ['isa', 'engine']) mkdirSync(join(sources, name), { recursive: true });
  writeFileSync(join(root, 'package.json'), '{}');
  const source = join(sources, 'isa/add.ts');
  writeFileSync(source, 'one');
  return { folder, source, code: cachedCode(folder, sources), later: () => cachedCode(folder, sources) };
}
const CONTENT = Uint8Array.of(1, 2, 3);

test('what was written is read until a source changes', (t) => {
  const { folder, source, code, later } = place(t);
  assert.equal(code.read(), undefined);
  code.write(CONTENT);
  code.regions!.write(CONTENT);
  for (const same of [code, later()]) {
    assert.deepEqual([...same.read()!], [...CONTENT]);
    assert.deepEqual([...same.regions!.open()!.read(1, 2)], [2, 3]);
  }
  writeFileSync(source, 'two, longer');
  const other = later();
  assert.equal(other.read(), undefined);
  assert.equal(other.regions!.open(), undefined);
  other.write(CONTENT);
  assert.equal(readdirSync(folder).length, 1);
});

test('files of others in the folder stay', (t) => {
  const { folder, code } = place(t);
  mkdirSync(folder);
  for (const name of ['notes', '0123456789abcdef', '0123456789abcdef.regions', '0123456789abcdef.txt'])
    writeFileSync(join(folder, name), '');
  code.write(CONTENT);
  const [own, ...others] = readdirSync(folder).sort(
    (a, b) => readFileSync(join(folder, b)).length - readFileSync(join(folder, a)).length,
  );
  assert.match(own, /^[0-9a-f]{16}$/);
  assert.deepEqual(others.sort(), ['0123456789abcdef.txt', 'notes']);
});

test('regions are read as they were when their file was opened', (t) => {
  const { code, later } = place(t);
  const { regions } = code;
  regions!.write(CONTENT);
  const opened = regions!.open()!;
  later().regions!.write(Uint8Array.of(7));
  assert.deepEqual([...opened.read(0, 3)], [...CONTENT]);
  assert.throws(() => opened.read(2, 2), /cut off/);
  opened.close();
  assert.deepEqual([...regions!.open()!.read(0, 1)], [7]);
});

test('a file that was cut off or changed is not used', (t) => {
  const { folder, code } = place(t);
  code.write(CONTENT);
  const path = join(folder, readdirSync(folder)[0]);
  const whole = readFileSync(path);
  for (const length of [0, 10, whole.length - 1]) {
    writeFileSync(path, whole.subarray(0, length));
    assert.equal(code.read(), undefined);
  }
  for (let i = 0; i < whole.length; i++) {
    const changed = Buffer.from(whole);
    changed[i] ^= 1;
    writeFileSync(path, changed);
    assert.equal(code.read(), undefined);
  }
});

test('where nothing can be written nothing is', (t) => {
  const { source } = place(t);
  const code = cachedCode(join(source, 'cache'), join(source, 'src'));
  code.write(CONTENT);
  assert.equal(code.read(), undefined);
});
