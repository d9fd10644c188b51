/** The static build, and the command that serves it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { buildPage } from '../support/browser.ts';
import { scratch, shown, start, trapeze } from '../support/trapeze.ts';

const BUILD = fileURLToPath(new URL('../../scripts/build-web.ts', import.meta.url));
const MOST_BYTES = 350_000;

const page = buildPage();
after(() => page.remove());

test('engine, page and formats of disks are under 350 KB, as servers pack them', () => {
  const names = readdirSync(page.folder).filter((name) => /\.(html|css|js|wasm)$/.test(name));
  const kinds = ['index.html', 'page.js', 'worker.js', 'helper.js', 'trapeze-vm.js', 'disks-', 'engine-code-'];
  assert.ok(kinds.every((kind) => names.some((name) => name.startsWith(kind))));
  const read = (name: string): Buffer => readFileSync(path.join(page.folder, name));
  const whole = (suffix: string): number => names.reduce((sum, name) => sum + read(name + suffix).length, 0);
  for (const suffix of ['.br', '.gz']) assert.ok(whole(suffix) < MOST_BYTES, `${whole(suffix)} bytes as ${suffix}`);
  for (const name of names) {
    assert.deepEqual(brotliDecompressSync(read(`${name}.br`)), read(name));
    assert.deepEqual(gunzipSync(read(`${name}.gz`)), read(name));
  }
});

test('the build brings the licences of what is in it', () => {
  const text = readFileSync(path.join(page.folder, 'licences.txt'), 'utf8');
  for (const name of ['Trapeze', '@xterm/xterm', 'fflate', 'uplot', 'zod'])
    assert.match(text, new RegExp(`^${name}$`, 'm'));
});

test('`trapeze web` serves the page until a signal, and refuses a port that is taken', async () => {
  const { child, outcome } = start(['web', '--port', '0']);
  let printed = '';
  child.stdout!.on('data', (bytes: Buffer) => (printed += bytes));
  await shown(child.stdout!, 'Ctrl-C ends');
  const port = /:(\d+)\//.exec(printed)![1]!;
  const second = await trapeze(['web', '--port', port]);
  assert.deepEqual(
    [second.code, second.stderr],
    [2, `trapeze: port ${port} is taken: choose another with --port, or --port 0 for any free one\n`],
  );
  const worker = await fetch(`http://127.0.0.1:${port}/worker.js`, { headers: { 'accept-encoding': 'br' } });
  assert.deepEqual([worker.status, worker.headers.get('content-encoding')], [200, 'br']);
  child.kill('SIGINT');
  const { code, stdout } = await outcome;
  assert.deepEqual([code, /^trapeze: http:\/\/127\.0\.0\.1:\d+\/ \(Ctrl-C ends\)\n$/.test(stdout)], [0, true]);
});

test('a mistake in the options of `trapeze web` is one line', async (t) => {
  const there = scratch(t)('there', 'a file');
  const cases: [string[], RegExp][] = [
    [['--port', 'http'], /^trapeze: --port: 'http' is not a port: choose 0 to 65535\n$/],
    [['--port', '65536'], /is not a port/],
    [['--host', '203.0.113.1'], /^trapeze: --host: this machine has no address '203\.0\.113\.1': choose 127\.0\.0\.1/],
    [['--output', there], /is there already: name a new folder, or remove it\n$/],
  ];
  for (const [words, line] of cases) {
    const { code, stderr } = await trapeze(['web', ...words]);
    assert.deepEqual([code, line.test(stderr)], [2, true], stderr);
  }
});

test('a wrong option of the build is one line, and nothing is written', () => {
  const { status, stderr } = spawnSync(process.execPath, [BUILD, '--outt', 'somewhere'], { encoding: 'utf8' });
  assert.equal(status, 2);
  assert.match(stderr, /^npm run build:web: Unknown option '--outt'.*\n$/);
});
