/** The static build, and the command that serves it. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { brotliCompressSync } from 'node:zlib';
import { buildPage } from '../support/browser.ts';
import { scratch, shown, start, trapeze } from '../support/trapeze.ts';

const MOST_BYTES = 350 * 1024;

const page = buildPage();
after(() => page.remove());

test('engine and page are under 350 KB, as servers pack them', () => {
  // Formats of disks are fetched with the first disk, as the guest is with the first machine.
  const names = readdirSync(page.folder).filter((name) => /^(?!disks-).*\.(html|css|js|bin)$/.test(name));
  assert.ok(['index.html', 'page.js', 'worker.js', 'trapeze-vm.js'].every((name) => names.includes(name)));
  const sizes = names.map((name) => {
    const content = readFileSync(path.join(page.folder, name));
    // What is packed already servers leave alone.
    return name.endsWith('.bin') ? content.length : brotliCompressSync(content).length;
  });
  const whole = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(whole < MOST_BYTES, `${whole} bytes: ${names.map((name, i) => `${name} ${sizes[i]}`).join(', ')}`);
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
  assert.equal((await fetch(`http://127.0.0.1:${port}/worker.js`)).status, 200);
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
