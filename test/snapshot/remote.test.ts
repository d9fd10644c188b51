/** Snapshots on servers, in Node: in parts while the guest runs, or whole; servers that fail. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { type HttpServer, serve } from '../support/http-server.ts';
import { guestWithNoise } from '../support/noisy-guest.ts';
import { type Outcome, scratch, shown, start, trapeze } from '../support/trapeze.ts';

const { snapshot, changes, sum } = await guestWithNoise();
const SUM = 'md5sum /tmp/noise; poweroff\n';

interface Arrival {
  readonly pages: number;
  readonly arrived: number;
  readonly waits: number;
}

/** What a guest out of a snapshot answered, which it must have found whole, and how its memory came. */
async function noise(stats: string, words: readonly string[]): Promise<Arrival | null> {
  const { code, stdout, stderr } = await trapeze(['run', '--stats', stats, ...words], SUM);
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, new RegExp(`${sum}  /tmp/noise`));
  return JSON.parse(readFileSync(stats, 'utf8')).arrival;
}

/** With a name and a password, which must appear nowhere. */
const secret = ({ url }: HttpServer): string => url.replace('http://', 'http://me:secret@');

function refused({ code, stderr }: Outcome, line: RegExp): void {
  assert.equal(code, 2, stderr);
  assert.match(stderr, line);
  assert.match(stderr, /^trapeze: [^\n]*\n$/);
  assert.doesNotMatch(stderr, /secret/);
}

test('memory comes from a server while the guest runs, also with a base there, and when it fails now and then', async (t) => {
  const [server, changed] = [await serve(t, snapshot), await serve(t, changes)];
  const stats = scratch(t)('stats.json');
  server.plan.push('serve', 'serve', 'serve', 'drop', 'short', 'wrongRange', { status: 503 });
  const arrival = await noise(stats, ['--snapshot', secret(server)]);
  assert.ok(arrival!.waits > 0, 'the guest never waited');
  assert.equal(server.plan.length, 0);
  assert.ok(server.asked.every((range) => range.startsWith('bytes=')));
  assert.equal(await noise(stats, ['--snapshot', server.url, '--load', 'whole']), null);
  assert.equal(server.asked.at(-1), 'all');

  const both = ['--snapshot', secret(changed), '--base', secret(server)];
  assert.ok((await noise(stats, both))!.pages > 0);
  const later = await trapeze(['run', ...both], 'echo "<$later>"; poweroff\n');
  assert.match(later.stdout, /\n<42>\r\n/);
});

test('a server that does not send parts of files is read from start to end', async (t) => {
  const server = await serve(t, snapshot);
  server.usual = 'whole';
  assert.equal(await noise(scratch(t)('stats.json'), ['--snapshot', server.url]), null);
  assert.deepEqual(server.asked, ['bytes=0-4095', 'all']);
  refused(
    await trapeze(['run', '--snapshot', secret(server), '--load', 'demand']),
    /--load: the server of http:\S+disk\.img does not send parts of files: serve it with one that does/,
  );
});

test('what cannot be had is one line', async (t) => {
  const server = await serve(t, changes);
  const missing = new URL('nothing.snap', secret(server)).href;
  const gone = /^trapeze: http:\/\/127\.0\.0\.1:\d+\/nothing\.snap: the server answers 404: there is no such file/;
  refused(await trapeze(['run', '--snapshot', missing]), gone);
  refused(await trapeze(['snapshot', 'info', missing]), gone);
  refused(await trapeze(['run', '--snapshot', server.url, '--base', missing]), gone);
  refused(await trapeze(['run', '--snapshot', server.url]), /--base: the snapshot holds only what differs from/);
  server.content = new Uint8Array(5000).fill(7);
  refused(await trapeze(['run', '--snapshot', secret(server)]), /it does not begin as one: it is another kind of file/);
  server.content = snapshot.slice();
  server.content[snapshot.length >> 1]! ^= 1;
  refused(await trapeze(['run', '--snapshot', secret(server)], SUM), /disk\.img: .*damaged/);
  refused(await trapeze(['snapshot', 'info', secret(server)]), /disk\.img: .*damaged/);
});

test('a server that is lost ends the machine with one line', async (t) => {
  const server = await serve(t, snapshot);
  server.usual = 'slow';
  const { child, outcome } = start(['run', '--snapshot', server.url]);
  child.stdin!.write('echo $((6*7))\n');
  await shown(child.stdout!, '\n42\r\n');
  server.die();
  child.stdin!.end(SUM);
  refused(await outcome, /disk\.img: the server cannot be reached/);
});

test('a snapshot on a server is looked at, and what differs from it saved', async (t) => {
  const server = await serve(t, snapshot);
  const file = scratch(t)('work.snap');
  const json = JSON.parse((await trapeze(['snapshot', 'info', '--json', secret(server)])).stdout);
  assert.deepEqual([json.bytes, json.base], [snapshot.length, null]);
  const words = ['run', '--snapshot', secret(server), '--base', secret(server), '--save', file, '--save-on-exit'];
  const { child, outcome } = start(words);
  child.stdin!.write('later=$((7*7)); echo "<$later>"\n');
  await shown(child.stdout!, '\n<49>\r\n');
  child.kill('SIGTERM');
  const { code, stderr } = await outcome;
  assert.equal(code, 143);
  assert.match(stderr, /saved \S+work\.snap; go on with: trapeze run --snapshot \S+work\.snap --base http:\/\/127/);
  assert.doesNotMatch(stderr, /secret/);
  assert.ok(statSync(file).size < snapshot.length / 3);
  const later = await trapeze(['run', '--snapshot', file, '--base', server.url], 'echo "<$later>"; poweroff\n');
  assert.match(later.stdout, /\n<49>\r\n/);
});
