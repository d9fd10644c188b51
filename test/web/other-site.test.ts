/** Disks and files of another origin than the page's, in Chromium. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { formatManifest, makeManifest } from '../../src/storage/http/manifest.ts';
import { type HttpServer, serve } from '../support/http-server.ts';
import { workerSite } from './in-worker.ts';

const { skip, run } = await workerSite(fileURLToPath(new URL('http-worker.ts', import.meta.url)));

const SIZE = 2 ** 20;
const content = new Uint8Array(SIZE).map((_, at) => (at >>> 8) ^ at);
const sum = (from: number): number => content.subarray(from, from + 70_000).reduce((all, byte) => all + byte, 0);
const READ = `${sum(0)} ${sum(SIZE - 70_000)}`;

const ALLOWED = { 'access-control-allow-origin': '*' };
const EXPOSED = { ...ALLOWED, 'access-control-expose-headers': 'Content-Range, ETag, Last-Modified' };

async function other(t: TestContext, headers: HttpServer['headers']): Promise<HttpServer> {
  const server = await serve(t, content);
  server.headers = headers;
  return server;
}

const disk = (url: string): Promise<string> => run({ action: 'disk', url });

test('a disk of another site is read where its server allows that', { skip }, async (t) => {
  const server = await other(t, EXPOSED);
  assert.equal(await disk(server.url), `${SIZE} "1" ${READ}`);
  assert.ok(server.asked.every((range) => range.startsWith('bytes=')));
  assert.equal(server.preflights, 0, 'nothing is sent that a server must allow beforehand');
});

test('a redirection to another site is followed, and asks for no more', { skip }, async (t) => {
  const server = await other(t, EXPOSED);
  server.usual = 'redirect';
  assert.equal(await disk(server.url), `${SIZE} undefined ${READ}`);
  assert.equal(server.preflights, 0);
});

test('what is missing of CORS is named in one line', { skip }, async (t) => {
  const silent = await other(t, {});
  const line = await disk(silent.url);
  assert.match(
    line,
    /^UserError: http:\S+disk\.img: the server cannot be reached .* Access-Control-Allow-Origin: \* and /,
  );
  assert.match(line, /Access-Control-Expose-Headers: Content-Range, ETag, Last-Modified$/);
  assert.match(
    await run({ action: 'file', url: silent.url }),
    /^UserError: .* cannot be fetched: .*Access-Control-Allow-Origin/,
  );
  const hiding = await other(t, ALLOWED);
  assert.match(
    await disk(hiding.url),
    /^UserError: .* it must send Access-Control-Expose-Headers: Content-Range, ETag/,
  );
});

test('a manifest of another site is heeded; one that cannot be seen is told and not waited for', {
  skip,
}, async (t) => {
  const server = await other(t, EXPOSED);
  const read = async (offset: number, into: Uint8Array) => into.set(content.subarray(offset, offset + into.length));
  const sha256 = async (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
  server.manifest = formatManifest(await makeManifest(SIZE, read, sha256));
  assert.match(await disk(server.url), new RegExp(`^${SIZE} manifest [0-9a-f]{64} ${READ}$`));
  server.usual = 'garble';
  assert.match(await disk(server.url), /are not those of the manifest/);
  const hiding = await other(t, EXPOSED);
  hiding.headersOfMissing = {};
  assert.match(
    await disk(hiding.url),
    new RegExp(
      `^${SIZE} "1" ${READ} http:\\S+\\.manifest\\.json: .* blocks are not checked: .*add_header … always\\)$`,
    ),
  );
});
