/** Servers of many kinds, as disks find them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { TestHttp } from '../../../test/support/http-platform.ts';
import { serve } from '../../../test/support/http-server.ts';
import { UserError } from '../../user-error.ts';
import { openHttpDisk } from './open-http.ts';

const BLOCK = 65_536;
const content = new Uint8Array(20 * 2 ** 20).map((_, at) => (at >>> 8) ^ at);

async function opens(url: string, http = new TestHttp()): Promise<void> {
  const disk = await openHttpDisk(url, http);
  for (const offset of [0, 5 * BLOCK - 100]) {
    const bytes = new Uint8Array(3000);
    await disk.read(offset, bytes);
    assert.ok(Buffer.from(bytes).equals(content.subarray(offset, offset + 3000)));
  }
  await disk.close();
}

/** Refused in one line, behind so many waits. */
async function refused(url: string, line: RegExp, waits = 0): Promise<void> {
  const http = new TestHttp();
  await assert.rejects(openHttpDisk(url, http), (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, line);
    assert.ok(!error.message.includes('\n'));
    return true;
  });
  assert.equal(http.waits.length, waits);
}

async function listening(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

test('a redirection is followed', async (t) => {
  const server = await serve(t, content);
  server.usual = 'redirect';
  await opens(server.url);
});

test('a server of HTTP/1.0 serves, which ends each answer with the connection', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (request) => {
      const [, name, from, to] = /^GET (\S+) [\s\S]*range: bytes=(\d+)-(\d+)/i.exec(String(request)) ?? [];
      if (name !== '/disk.img') return socket.end('HTTP/1.0 404 Not Found\r\n\r\n');
      const head = `HTTP/1.0 206 Partial Content\r\nContent-Range: bytes ${from}-${to}/${content.length}\r\n\r\n`;
      socket.write(head);
      return socket.end(content.subarray(Number(from), Number(to) + 1));
    });
  });
  await opens(`http://127.0.0.1:${await listening(t, server)}/disk.img`);
});

test('a range that nobody can place is refused', async (t) => {
  const server = await serve(t, content);
  server.usual = 'unnamedRange';
  await refused(server.url, /does not say which \(no Content-Range\): serve it with another, such as nginx/);
  server.usual = 'unknownSize';
  await refused(server.url, /does not tell the size of the file .*: serve it with another/);
});

test('an address that leads nowhere is told with what can be done', async (t) => {
  const server = await serve(t, content);
  await refused('http://127.0.0.1:25/disk.img', /port 25 is kept for another service .*: serve the file at another$/);
  const { port } = new URL(server.url);
  await refused(`https://127.0.0.1:${port}/disk.img`, /does not speak HTTPS at that port: write http:\/\//);
  server.die();
  await refused(server.url, /\(ECONNREFUSED\): nothing listens at that port: check that the server runs/, 4);
  const circle = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () =>
      socket.end('HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'),
    );
  });
  await refused(`http://127.0.0.1:${await listening(t, circle)}/`, /redirects without end: check the address/);
  const other = createServer((socket) => socket.on('error', () => {}).end('SSH-2.0-Test\r\n'));
  await refused(`http://127.0.0.1:${await listening(t, other)}/`, /check that it runs, its address and the network/, 4);
});

test('a certificate that nobody signed is refused with what can be done', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'trapeze-https-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [path.join(folder, 'key.pem'), path.join(folder, 'cert.pem')];
  try {
    const words = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2'];
    execFileSync('openssl', [...words, '-subj', '/CN=localhost'], { stdio: 'ignore' });
  } catch {
    return t.skip('SKIPPED: no openssl');
  }
  const server = createHttps({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => response.end());
  const port = await listening(t, server);
  await refused(`https://localhost:${port}/`, /the certificate of localhost is not trusted .*NODE_EXTRA_CA_CERTS/);
});
