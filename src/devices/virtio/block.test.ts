import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GatedDisk, SECTOR } from '../../../test/support/disks.ts';
import { VirtioGuest } from '../../../test/support/virtio-guest.ts';
import { MemoryFile } from '../../storage/memory-file.ts';
import { OverlayDisk } from '../../storage/overlay.ts';
import { BlockDevice } from './block.ts';

const T_IN = 0;
const T_OUT = 1;
const T_FLUSH = 4;
const T_GET_ID = 8;
const T_DISCARD = 11;
const T_WRITE_ZEROES = 13;
const OK = 0;
const IO_ERROR = 1;
const UNSUPPORTED = 2;
const F_RO = 1n << 5n;
const F_DISCARD = 1n << 13n;

function setUp(disk: GatedDisk = new GatedDisk(64)) {
  const device = new BlockDevice(disk, 'disk0');
  const guest = new VirtioGuest(device);
  return { disk, device, guest };
}

function header(type: number, sector: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setBigUint64(8, BigInt(sector), true);
  return bytes;
}

interface Answer {
  readonly status: number;
  readonly data: Uint8Array;
  readonly length: number;
}

function collect(guest: VirtioGuest): Map<number, Answer> {
  const answers = new Map<number, Answer>();
  for (const { token, data, length } of guest.queues[0]!.pollAll())
    answers.set(token, { status: data.at(-1)!, data: data.subarray(0, -1), length });
  return answers;
}

/** Sends one request and waits for its answer. */
async function request(
  { guest, device }: { guest: VirtioGuest; device: BlockDevice },
  type: number,
  sector: number,
  { out = [], room = [] }: { out?: Uint8Array[]; room?: number[] } = {},
): Promise<Answer> {
  const token = guest.send(0, { out: [header(type, sector), ...out], in: [...room, 1] });
  await device.idle();
  return collect(guest).get(token)!;
}

const pattern = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + seed + (i >>> 9)) & 0xff);

test('the configuration tells capacity and limits', () => {
  const { guest } = setUp();
  assert.deepEqual([guest.config(0, 4), guest.config(4, 4)], [64, 0]);
  assert.deepEqual([guest.config(8, 4), guest.config(12, 4), guest.config(20, 4)], [65_536, 254, 512]);
  assert.equal(guest.offered() & (F_RO | F_DISCARD), 0n);
  assert.equal(setUp(new GatedDisk(1, true)).guest.offered() & F_RO, F_RO);
});

test('data written is read back, whole and in pieces', async () => {
  const set = setUp();
  set.guest.start();
  const data = pattern(3 * SECTOR, 5);
  const written = await request(set, T_OUT, 2, { out: [data.subarray(0, 100), data.subarray(100)] });
  assert.deepEqual([written.status, written.length], [OK, 1]);
  assert.deepEqual(set.disk.bytes.subarray(2 * SECTOR, 5 * SECTOR), data);
  const read = await request(set, T_IN, 2, { room: [1000, 536] });
  assert.deepEqual([read.status, read.length], [OK, 3 * SECTOR + 1]);
  assert.deepEqual(read.data, data);
  assert.equal((await request(set, T_FLUSH, 0)).status, OK);
  assert.deepEqual(set.disk.log, ['write 1024 1536', 'read 1024 1536', 'flush']);
});

test('a transfer larger than the bounce buffer goes through in pieces', async () => {
  const set = setUp(new GatedDisk(8192));
  set.guest.start();
  for (const i of set.disk.bytes.keys()) set.disk.bytes[i] = (i * 31 + (i >>> 12)) & 0xff;
  const room = Array.from({ length: 13 }, () => 65_536);
  const first = await request(set, T_IN, 1, { room: [...room, SECTOR] });
  assert.equal(first.status, OK);
  assert.deepEqual(first.data, set.disk.bytes.slice(SECTOR, 2 * SECTOR + 13 * 65_536));
});

test('the serial number is padded with zeros', async () => {
  const set = setUp();
  set.guest.start();
  const { status, data, length } = await request(set, T_GET_ID, 0, { room: [20] });
  assert.deepEqual([status, length], [OK, 21]);
  assert.equal(new TextDecoder().decode(data), `disk0${'\0'.repeat(15)}`);
});

test('requests outside the disk, of odd length, of unknown type or to a read-only disk fail alone', async () => {
  const set = setUp();
  set.guest.start();
  const sector = new Uint8Array(SECTOR);
  assert.equal((await request(set, T_IN, 64, { room: [SECTOR] })).status, IO_ERROR);
  assert.equal((await request(set, T_IN, 63, { room: [2 * SECTOR] })).status, IO_ERROR);
  assert.equal((await request(set, T_IN, 2 ** 52, { room: [SECTOR] })).status, IO_ERROR);
  assert.equal((await request(set, T_OUT, 64, { out: [sector] })).status, IO_ERROR);
  assert.equal((await request(set, T_IN, 0, { room: [100] })).status, IO_ERROR);
  assert.equal((await request(set, 99, 0)).status, UNSUPPORTED);
  assert.equal((await request(set, T_WRITE_ZEROES, 0, { out: [new Uint8Array(16)] })).status, UNSUPPORTED);
  assert.deepEqual(set.disk.log, []);
  const readOnly = setUp(new GatedDisk(64, true));
  readOnly.guest.start();
  assert.equal((await request(readOnly, T_OUT, 0, { out: [sector] })).status, IO_ERROR);
  assert.equal((await request(readOnly, T_FLUSH, 0)).status, OK);
});

test('a failing host gives I/O errors, then works again', async () => {
  const set = setUp();
  set.guest.start();
  set.disk.failing = true;
  assert.equal((await request(set, T_IN, 0, { room: [SECTOR] })).status, IO_ERROR);
  assert.equal((await request(set, T_OUT, 0, { out: [new Uint8Array(SECTOR)] })).status, IO_ERROR);
  assert.equal((await request(set, T_FLUSH, 0)).status, IO_ERROR);
  set.disk.failing = false;
  assert.equal((await request(set, T_IN, 0, { room: [SECTOR] })).status, OK);
});

test('requests without header or status break the device', () => {
  for (const bad of [{ out: [new Uint8Array(15)], in: [1] }, { out: [header(T_IN, 0)] }]) {
    const { guest } = setUp();
    guest.start();
    guest.send(0, bad);
    assert.equal(guest.status & 64, 64);
  }
});

test('at most 32 requests are at the back end, they finish in any order, and all are served', async () => {
  const set = setUp();
  set.guest.start();
  set.disk.hold();
  const tokens = Array.from({ length: 64 }, (_, i) =>
    set.guest.send(0, { out: [header(T_OUT, i), pattern(SECTOR, i)], in: [1] }),
  );
  assert.equal(set.disk.waiting, 32);
  set.disk.release(17);
  await set.device.idle();
  const answers = collect(set.guest);
  assert.ok(tokens.every((token) => answers.get(token)?.status === OK));
  for (const i of tokens.keys())
    assert.deepEqual(set.disk.bytes.subarray(i * SECTOR, (i + 1) * SECTOR), pattern(SECTOR, i));
});

test('after a reset old requests touch no memory, and new ones wait for them', async () => {
  const set = setUp();
  set.guest.start();
  set.disk.hold();
  set.guest.send(0, { out: [header(T_OUT, 1), pattern(SECTOR, 1)], in: [1] });
  set.guest.send(0, { out: [header(T_IN, 0)], in: [SECTOR, 1] });
  set.guest.start();
  set.guest.ram.written.length = 0;
  const token = set.guest.send(0, { out: [header(T_OUT, 1), pattern(SECTOR, 2)], in: [1] });
  assert.equal(set.disk.waiting, 2);
  set.disk.release();
  await set.device.idle();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([...collect(set.guest).keys()], [token]);
  assert.ok(set.guest.ram.written.every(({ size }) => size !== SECTOR));
  assert.deepEqual(set.disk.bytes.subarray(SECTOR, 2 * SECTOR), pattern(SECTOR, 2));
});

test('discard and write-zeroes reach a back end that can', async () => {
  const base = new GatedDisk(64, true);
  base.bytes.fill(0xee);
  const device = new BlockDevice(new OverlayDisk(base, new MemoryFile()), 'cow');
  const guest = new VirtioGuest(device);
  guest.start();
  assert.equal(guest.offered() & (F_RO | F_DISCARD), F_DISCARD);
  const range = (sector: number, sectors: number, flags: number) => {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, sector, true);
    view.setUint32(8, sectors, true);
    view.setUint32(12, flags, true);
    return { out: [bytes] };
  };
  const set = { guest, device };
  assert.equal((await request(set, T_WRITE_ZEROES, 0, range(1, 2, 1))).status, OK);
  assert.equal((await request(set, T_DISCARD, 0, range(5, 1, 0))).status, OK);
  assert.equal((await request(set, T_DISCARD, 0, range(6, 1, 1))).status, UNSUPPORTED);
  assert.equal((await request(set, T_DISCARD, 0, range(63, 2, 0))).status, IO_ERROR);
  const { data } = await request(set, T_IN, 0, { room: [8 * SECTOR] });
  const zeros = Array.from({ length: 8 }, (_, i) => data[i * SECTOR] === 0);
  assert.deepEqual(zeros, [false, true, true, false, false, true, false, false]);
});

test('a disk behaves as an array of sectors', async () => {
  const transfer = fc.record({
    write: fc.boolean(),
    sector: fc.integer({ min: 0, max: 60 }),
    count: fc.integer({ min: 1, max: 4 }),
    seed: fc.nat(255),
    split: fc.integer({ min: 1, max: 511 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(transfer, { maxLength: 25 }), async (transfers) => {
      const set = setUp();
      set.guest.start();
      const model = new Uint8Array(64 * SECTOR);
      for (const { write, sector, count, seed, split } of transfers) {
        const [from, to] = [sector * SECTOR, (sector + count) * SECTOR];
        if (write) {
          const data = pattern(count * SECTOR, seed);
          model.set(data, from);
          await request(set, T_OUT, sector, { out: [data.subarray(0, split), data.subarray(split)] });
        } else {
          const { data } = await request(set, T_IN, sector, { room: [split, count * SECTOR - split] });
          assert.deepEqual(data, model.subarray(from, to));
        }
      }
      assert.deepEqual(set.disk.bytes, model);
    }),
    { numRuns: 50 },
  );
});
