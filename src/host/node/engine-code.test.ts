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
  const source = join(sources, 'isa/add.ts');
  writeFileSync(source, 'one');
  return { folder, source, code: cachedCode(folder, sources) };
}
const CONTENT = Uint8Array.of(1, 2, 3);

test('what was written is read until a source changes', (t) => {
  const { folder, source, code } = place(t);
  assert.equal(code.read(), undefined);
  code.write(CONTENT);
  assert.deepEqual([...code.read()!], [...CONTENT]);
  writeFileSync(source, 'two, longer');
  assert.equal(code.read(), undefined);
  code.write(CONTENT);
  assert.equal(readdirSync(folder).length, 1);
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
