import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import fc from 'fast-check';
import { TestHttp } from '../../../test/support/http-platform.ts';
import { type Behaviour, type HttpServer, serve } from '../../../test/support/http-server.ts';
import { UserError } from '../../user-error.ts';
import { MemoryFile } from '../memory-file.ts';
import type { HttpDisk } from './http-disk.ts';
import { formatManifest, makeManifest } from './manifest.ts';
import { type HttpDiskOptions, openHttpDisk } from './open-http.ts';

const BLOCK = 65_536;
const SIZE = 20 * 2 ** 20;

/** Bytes that differ everywhere. */
const content = new Uint8Array(SIZE);
for (let at = 0; at < SIZE; at += 4) new DataView(content.buffer).setUint32(at, Math.imul(at + 1, 0x9e3779b1), true);

const sha256 = async (bytes: Uint8Array): Promise<Uint8Array> => createHash('sha256').update(bytes).digest();

interface Set {
  readonly server: HttpServer;
  readonly http: TestHttp;
  readonly disk: HttpDisk;
  readonly lines: string[];
}

async function setUp(t: TestContext, prepare: (server: HttpServer) => void | Promise<void> = () => {}): Promise<Set> {
  const server = await serve(t, content);
  await prepare(server);
  return await open(t, server);
}

async function open(t: TestContext, server: HttpServer, options: HttpDiskOptions = {}): Promise<Set> {
  const http = new TestHttp();
  server.onStall = () => http.loseStalled();
  const lines: string[] = [];
  const disk = await openHttpDisk(server.url, http, { report: (line) => lines.push(line), ...options });
  t.after(() => disk.close());
  return { server, http, disk, lines };
}

async function withManifest(server: HttpServer): Promise<void> {
  const { content: image } = server;
  const read = async (offset: number, into: Uint8Array) => into.set(image.subarray(offset, offset + into.length));
  server.manifest = formatManifest(await makeManifest(image.length, read, sha256));
}

async function read(disk: HttpDisk, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length).fill(0xee);
  await disk.read(offset, bytes);
  return bytes;
}

const same = (bytes: Uint8Array, offset: number): void =>
  assert.ok(
    Buffer.from(bytes).equals(content.subarray(offset, offset + bytes.length)),
    'other bytes than the file has',
  );

test('reads of any place and length are those of the file', async (t) => {
  const { disk } = await setUp(t);
  assert.equal(disk.size, SIZE);
  const place = fc.record({ offset: fc.nat(SIZE - 1), length: fc.integer({ min: 1, max: 3 * 2 ** 20 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(place, { minLength: 1, maxLength: 6 }), async (places) => {
      await Promise.all(
        places.map(async ({ offset, length }) => {
          const bytes = await read(disk, offset, length);
          const inside = Math.min(length, SIZE - offset);
          same(bytes.subarray(0, inside), offset);
          assert.ok(bytes.subarray(inside).every((byte) => byte === 0));
        }),
      );
    }),
    { numRuns: 30 },
  );
});

test('neighbouring blocks asked for at once go in one request; what is in memory is not fetched again', async (t) => {
  const { disk, server } = await setUp(t);
  server.asked.length = 0;
  await Promise.all([3, 0, 2, 1].map((i) => read(disk, (100 + i) * BLOCK + 512, 512)));
  assert.deepEqual(server.asked, [`bytes=${100 * BLOCK}-${104 * BLOCK - 1}`]);
  same(await read(disk, 100 * BLOCK, 4 * BLOCK), 100 * BLOCK);
  assert.equal(server.asked.length, 1);
  const { requests, cacheHits, retries } = disk.fetched();
  assert.deepEqual([requests, cacheHits, retries], [3, 4, 0], 'the first request, the manifest, the blocks');
});

test('who reads in order is read ahead for, in ever larger requests', async (t) => {
  const { disk, server } = await setUp(t);
  server.asked.length = 0;
  for (let offset = 0; offset < 4 * 2 ** 20; offset += 4096) same(await read(disk, offset, 4096), offset);
  assert.ok(server.asked.length <= 16, `${server.asked.length} requests for 64 blocks`);
  assert.ok(server.sent < 7 * 2 ** 20, `${server.sent} bytes sent for 4 MiB`);
});

test('who reads here and there gets no more than the blocks', async (t) => {
  const { disk, server } = await setUp(t);
  server.asked.length = 0;
  for (const block of [7, 90, 3, 200, 45]) same(await read(disk, block * BLOCK + 1024, 4096), block * BLOCK + 1024);
  assert.deepEqual(
    server.asked,
    [7, 90, 3, 200, 45].map((block) => `bytes=${block * BLOCK}-${(block + 1) * BLOCK - 1}`),
  );
});

const TROUBLE: readonly Behaviour[] = [
  'drop',
  'dropHalfway',
  'stall',
  'stallHalfway',
  'wrongRange',
  'short',
  'long',
  'whole',
  { status: 500 },
  { status: 503 },
  { status: 429 },
  { status: 408 },
];

for (const behaviour of TROUBLE) {
  const name = typeof behaviour === 'object' ? `status ${behaviour.status}` : behaviour;
  test(`${name}: is tried again, and then an error; a server that recovers serves on`, async (t) => {
    const { disk, server, lines } = await setUp(t);
    server.plan.push(behaviour, behaviour);
    same(await read(disk, 5 * BLOCK, BLOCK), 5 * BLOCK);
    assert.deepEqual(lines, []);
    assert.equal(disk.fetched().retries, 2);
    server.usual = behaviour;
    server.asked.length = 0;
    await assert.rejects(read(disk, 50 * BLOCK, 4096));
    assert.equal(server.asked.length, 5);
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /^http:\/\/\S+\/disk\.img: .+; the guest gets read errors$/);
    // No long wait for each further sector while the server is away.
    await assert.rejects(read(disk, 70 * BLOCK, 4096));
    assert.equal(server.asked.length, 6);
    assert.equal(disk.fetched().failures, 2);
    server.usual = 'serve';
    same(await read(disk, 50 * BLOCK, 4096), 50 * BLOCK);
    await immediate();
    assert.equal(lines.length, 2);
    assert.match(lines[1]!, /the server answers again$/);
  });
}

test('what came before a connection broke is not asked for again', async (t) => {
  const { disk, server } = await setUp(t);
  server.asked.length = 0;
  server.plan.push('dropHalfway', 'dropHalfway');
  same(await read(disk, 0, 16 * BLOCK), 0);
  const starts = server.asked.map((range) => Number(/=(\d+)-/.exec(range)![1]));
  assert.ok(starts[1]! > 0 && starts[2]! > starts[1]!, String(starts));
});

test('waits between attempts double, and Retry-After is heeded up to a limit', async (t) => {
  const { disk, server, http } = await setUp(t);
  server.plan.push('drop', 'drop', { status: 429, retryAfter: '3' }, { status: 503, retryAfter: '7200' });
  same(await read(disk, 0, 512), 0);
  assert.deepEqual(http.waits, [250, 500, 3000, 15_000]);
});

test('a status that will stay is an error at once', async (t) => {
  const { disk, server, lines } = await setUp(t);
  server.usual = { status: 404 };
  server.asked.length = 0;
  await assert.rejects(read(disk, 0, 512));
  assert.equal(server.asked.length, 1);
  assert.match(lines[0]!, /answers 404: there is no such file/);
});

test('a file that changes is told, and nothing of the new one is read', async (t) => {
  for (const change of [
    (server: HttpServer) => (server.etag = '"2"'),
    (server: HttpServer) => (server.content = content.subarray(0, SIZE - BLOCK)),
  ]) {
    const { disk, server, lines } = await setUp(t);
    same(await read(disk, 0, 512), 0);
    change(server);
    await assert.rejects(read(disk, 80 * BLOCK, 512), /changed/);
    server.etag = '"1"';
    server.content = content;
    await assert.rejects(read(disk, 80 * BLOCK, 512), /changed/);
    same(await read(disk, 512, 512), 512);
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /the file changed on the server.*; the guest gets read errors/);
  }
});

test('a disk that is closed ends what is under way', async (t) => {
  const { disk, server } = await setUp(t);
  server.usual = 'stall';
  server.onStall = () => void disk.close();
  await assert.rejects(read(disk, 0, 512));
  assert.equal(disk.fetched().failures, 0, 'nobody failed');
});

test('blocks of zeros in the manifest are not fetched, others are checked', async (t) => {
  const sparse = new Uint8Array(SIZE);
  sparse.set(content.subarray(0, 2 * BLOCK), 4 * BLOCK);
  const { disk, server } = await setUp(t, async (server) => {
    server.content = sparse;
    await withManifest(server);
  });
  server.asked.length = 0;
  const bytes = await read(disk, 0, SIZE);
  assert.ok(Buffer.from(bytes).equals(sparse));
  assert.deepEqual(server.asked, [`bytes=${4 * BLOCK}-${6 * BLOCK - 1}`]);
});

test('a wrong block is fetched again, then refused', async (t) => {
  const { disk, server, lines } = await setUp(t, withManifest);
  server.asked.length = 0;
  server.plan.push('garble', 'garble');
  same(await read(disk, 9 * BLOCK, 512), 9 * BLOCK);
  assert.equal(server.asked.length, 3);
  server.usual = 'garble';
  server.asked.length = 0;
  await assert.rejects(read(disk, 30 * BLOCK, 512), /not those of the manifest/);
  assert.equal(server.asked.length, 3);
  assert.match(lines[0]!, new RegExp(`bytes ${30 * BLOCK}-${31 * BLOCK - 1} are not those of the manifest`));
});

test('what is kept is not fetched by the next run, unless the file changed or the cache is damaged', async (t) => {
  const server = await serve(t, content);
  const file = new MemoryFile();
  const keep = Object.assign(Object.create(file) as MemoryFile, {
    read: file.read.bind(file),
    write: file.write.bind(file),
    close: async () => {},
  });
  const run = async (): Promise<number> => {
    const { disk } = await open(t, server, { keep });
    server.asked.length = 0;
    same(await read(disk, 3 * BLOCK, 3 * BLOCK), 3 * BLOCK);
    await disk.close();
    assert.equal(disk.fetched().keptHits + server.asked.length > 0, true);
    return server.asked.length;
  };
  assert.equal(await run(), 1);
  assert.equal(await run(), 0);
  server.etag = '"2"';
  assert.equal(await run(), 1);
  assert.equal(await run(), 0);
  const table = Math.ceil((SIZE / BLOCK) * 32);
  await file.write(4096 + Math.ceil(table / 4096) * 4096 + 4 * BLOCK + 100, Uint8Array.of(1, 2, 3));
  assert.equal(await run(), 1);
});

test('a cache that is none, or cannot be told to be of this file, is refused', async (t) => {
  const server = await serve(t, content);
  const keep = new MemoryFile();
  await keep.write(0, new TextEncoder().encode('a letter to a friend'));
  await refused(openHttpDisk(server.url, new TestHttp(), { keep }), /no cache of a disk: name another file/);
  server.etag = undefined;
  await refused(openHttpDisk(server.url, new TestHttp(), { keep: new MemoryFile() }), /neither ETag .*make a manifest/);
});

async function refused(opening: Promise<unknown>, line: RegExp): Promise<void> {
  await assert.rejects(opening, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, line);
    assert.ok(!error.message.includes('\n'));
    return true;
  });
}

test('a server without ranges serves small files, whole; a large one is refused with the fix', async (t) => {
  const server = await serve(t, content.subarray(0, 10 * BLOCK));
  server.usual = 'whole';
  const { disk } = await open(t, server);
  same(await read(disk, 700, 5 * BLOCK), 700);
  assert.equal(server.asked.length, 1);
  server.content = content;
  await refused(openHttpDisk(server.url, new TestHttp()), /does not answer range requests.*nginx or Apache/);
});

test('what cannot be a disk is refused with one line that names the fix', async (t) => {
  const server = await serve(t, content);
  const opening = (usual: Behaviour): Promise<unknown> => {
    server.usual = usual;
    const http = new TestHttp();
    server.onStall = () => http.loseStalled();
    return openHttpDisk(server.url, http);
  };
  await refused(opening({ status: 404 }), /no such file: check the address/);
  await refused(opening({ status: 401 }), /wants a password: write https:\/\/USER:PASSWORD@HOST/);
  await refused(opening({ status: 500 }), /answers 500/);
  await refused(opening('stall'), /sent nothing for 10 s/);
  await refused(opening('compressed'), /switch its compression off/);
  server.usual = 'serve';
  server.content = new Uint8Array(0);
  await refused(opening('serve'), /empty/);
  server.content = content;
  server.manifest = '{"format":"trapeze-disk-manifest","version":2}';
  await refused(opening('serve'), /manifest\.json: version 2 .*trapeze disk manifest IMAGE/);
  server.manifest = '{}';
  await refused(opening('serve'), /no manifest of a disk image/);
  server.content = content.subarray(0, BLOCK);
  await withManifest(server);
  server.content = content;
  await refused(opening('serve'), /has 20971520 bytes, its manifest is for 65536/);
  server.die();
  await refused(opening('serve'), /cannot be reached.*ECONNREFUSED/);
});

test('a page that answers whatever is asked for is no manifest', async (t) => {
  const { disk } = await setUp(t, (server) => {
    server.manifest = '<!doctype html><title>Home</title>';
  });
  same(await read(disk, 0, 512), 0);
});
