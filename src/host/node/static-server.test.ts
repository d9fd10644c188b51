import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib';
import { StaticFiles } from './static-server.ts';

const outside = mkdtempSync(path.join(tmpdir(), 'static-'));
const folder = path.join(outside, 'site');
mkdirSync(path.join(folder, 'deep'), { recursive: true });
writeFileSync(path.join(outside, 'secret.txt'), 'secret');
writeFileSync(path.join(folder, 'index.html'), '<p>front</p>');
writeFileSync(path.join(folder, 'index.html.br'), brotliCompressSync('<p>front</p>'));
writeFileSync(path.join(folder, 'index.html.gz'), gzipSync('<p>front</p>'));
writeFileSync(path.join(folder, 'deep/index.html'), '<p>deep</p>');
writeFileSync(path.join(folder, 'part-0123abcd.js'), 'let x;');
writeFileSync(
  path.join(folder, 'data.bin'),
  Uint8Array.from({ length: 100 }, (_, i) => i),
);
writeFileSync(path.join(folder, 'empty.bin'), '');
symlinkSync(path.join(outside, 'secret.txt'), path.join(folder, 'link.txt'));

const files = new StaticFiles(folder);
const server = createServer((message, response) => void files.answer(message, response));
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
after(() => {
  server.close();
  rmSync(outside, { recursive: true });
});

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Sends the path as it is, which `fetch` would put right. */
function get(target: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path: target, headers, method }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }),
      );
    });
    sent.on('error', reject);
    sent.end();
  });
}

test('files come with their types, and make the page cross-origin isolated', async () => {
  const { status, headers, body } = await get('/?query');
  assert.deepEqual([status, String(body)], [200, '<p>front</p>']);
  assert.equal(headers['content-type'], 'text/html; charset=utf-8');
  assert.equal(headers['cross-origin-opener-policy'], 'same-origin');
  assert.equal(headers['cross-origin-embedder-policy'], 'require-corp');
  assert.equal(headers['cache-control'], 'no-cache');
  assert.equal(String((await get('/deep/')).body), '<p>deep</p>');
  const part = await get('/part-0123abcd.js');
  assert.equal(part.headers['content-type'], 'text/javascript; charset=utf-8');
  assert.match(part.headers['cache-control']!, /immutable/);
});

test('nothing outside the folder is given away', async () => {
  const paths = ['/../secret.txt', '/%2e%2e/secret.txt', '/deep/..%2f../secret.txt', '/..%5csecret.txt', '/link.txt'];
  for (const one of [...paths, '//etc/passwd', '/%00', '/%', '/none', '/deep'])
    assert.equal((await get(one)).status, 404, one);
});

test('only GET and HEAD are answered', async () => {
  const posted = await get('/', {}, 'POST');
  assert.deepEqual([posted.status, posted.headers.allow], [405, 'GET, HEAD']);
  const head = await get('/data.bin', {}, 'HEAD');
  assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, '100', 0]);
});

test('ranges', async () => {
  const cases: [string, number, string | undefined, number][] = [
    ['bytes=0-9', 206, 'bytes 0-9/100', 10],
    ['bytes=90-', 206, 'bytes 90-99/100', 10],
    ['bytes=-5', 206, 'bytes 95-99/100', 5],
    ['bytes=50-5000', 206, 'bytes 50-99/100', 50],
    ['bytes=0-1,5-6', 200, undefined, 100],
    ['lines=0-1', 200, undefined, 100],
    ['bytes=9-3', 200, undefined, 100],
  ];
  for (const [range, status, content, length] of cases) {
    const answer = await get('/data.bin', { range });
    assert.deepEqual([answer.status, answer.headers['content-range'], answer.body.length], [status, content, length]);
  }
  for (const range of ['bytes=100-', 'bytes=-0']) {
    const answer = await get('/data.bin', { range });
    assert.deepEqual([answer.status, answer.headers['content-range']], [416, 'bytes */100'], range);
  }
  assert.equal((await get('/empty.bin')).status, 200);
});

test('what lies packed beside a file is sent to who takes it, and not sent again', async () => {
  const br = await get('/', { 'accept-encoding': 'gzip, br' });
  assert.equal(String(brotliDecompressSync(br.body)), '<p>front</p>');
  assert.equal(br.headers['content-type'], 'text/html; charset=utf-8');
  const gzip = await get('/', { 'accept-encoding': 'gzip;q=0.5, br;q=0' });
  assert.equal(String(gunzipSync(gzip.body)), '<p>front</p>');
  assert.notEqual(br.headers.etag, gzip.headers.etag);
  const alone = await get('/deep/', { 'accept-encoding': 'gzip, br' });
  assert.deepEqual([alone.headers['content-encoding'], String(alone.body)], [undefined, '<p>deep</p>']);
  const part = await get('/', { 'accept-encoding': 'br', range: 'bytes=3-7' });
  assert.deepEqual([part.headers['content-encoding'], String(part.body)], [undefined, 'front']);
  const again = await get('/', { 'accept-encoding': 'br', 'if-none-match': `"x", ${br.headers.etag}` });
  assert.deepEqual([again.status, again.body.length], [304, 0]);
});
