import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TestRam } from '../../../test/support/test-ram.ts';
import { QueueDriver, type Request } from '../../../test/support/virtqueue-driver.ts';
import { type QueueLayout, SplitQueue } from './queue.ts';

const BASE = 0x1000;

function setUp(
  options: {
    size?: number;
    ramSize?: number;
    eventIndex?: boolean;
    indirect?: boolean;
    layout?: Partial<QueueLayout>;
  } = {},
) {
  const { size = 8, eventIndex = false, indirect = false, ramSize = 0x4_0000 } = options;
  const ram = new TestRam(ramSize);
  const driver = new QueueDriver(ram, { size, base: BASE, room: 0x3_0000, eventIndex, indirect });
  const failures: string[] = [];
  let interrupts = 0;
  const { descriptors, available, used } = driver;
  const queue = new SplitQueue(
    { size, descriptors, available, used, ...options.layout },
    {
      memory: ram,
      eventIndex,
      indirect,
      interrupt: () => interrupts++,
      failed: (reason) => failures.push(reason),
    },
  );
  return { ram, driver, queue, failures, interrupts: () => interrupts };
}

const bytes = (...values: number[]) => Uint8Array.from(values);

for (const indirect of [false, true]) {
  test(`a chain gathers and scatters over ${indirect ? 'an indirect table' : 'its descriptors'}`, () => {
    const { driver, queue, interrupts } = setUp({ indirect });
    driver.add({ out: [bytes(1, 2), bytes(3)], in: [2, 3] });
    const chain = queue.pop()!;
    assert.deepEqual([chain.readableLength, chain.writableLength], [3, 5]);
    const all = new Uint8Array(9);
    assert.equal(chain.read(0, all), 3);
    assert.deepEqual([...all.subarray(0, 4)], [1, 2, 3, 0]);
    assert.equal(chain.read(1, all), 2);
    assert.deepEqual([...all.subarray(0, 2)], [2, 3]);
    assert.equal(chain.write(1, bytes(7, 8, 9, 10, 11, 12)), 4);
    chain.complete(5);
    chain.complete(1);
    assert.deepEqual(driver.pollAll(), [{ token: 1, length: 5, data: bytes(0, 7, 8, 9, 10) }]);
    assert.equal(interrupts(), 1);
    assert.equal(queue.pop(), undefined);
  });
}

test('an indirect table may follow ordinary descriptors', () => {
  const { ram, driver, queue } = setUp({ indirect: true });
  driver.add({ out: [bytes(5)], in: [1] });
  const { view } = ram;
  const head = view.getUint16(driver.available + 4, true);
  const other = (head + 1) % driver.size;
  ram.bytes.copyWithin(
    driver.descriptors + 16 * other,
    driver.descriptors + 16 * head,
    driver.descriptors + 16 * head + 16,
  );
  view.setBigUint64(driver.descriptors + 16 * head, 0x2000n, true);
  view.setUint32(driver.descriptors + 16 * head + 8, 4, true);
  view.setUint16(driver.descriptors + 16 * head + 12, 1, true);
  view.setUint16(driver.descriptors + 16 * head + 14, other, true);
  const chain = queue.pop()!;
  assert.deepEqual([chain.readableLength, chain.writableLength], [5, 1]);
});

test('after a reset a chain moves nothing', () => {
  const { driver, queue, ram, interrupts } = setUp();
  driver.add({ out: [bytes(1)], in: [4] });
  const chain = queue.pop()!;
  queue.close();
  ram.written.length = 0;
  assert.equal(chain.read(0, new Uint8Array(1)), 0);
  assert.equal(chain.write(0, bytes(1)), 0);
  chain.complete(1);
  assert.deepEqual([ram.written, interrupts(), driver.poll()], [[], 0, undefined]);
});

for (const eventIndex of [false, true]) {
  test(`indexes wrap at 65,536 ${eventIndex ? 'with' : 'without'} event indexes`, () => {
    const { driver, queue, failures, interrupts } = setUp({ eventIndex });
    queue.pop();
    let notifications = 0;
    for (let i = 0; i < 70_000; i++) {
      if (driver.add({ out: [bytes(i)], in: [1] })!.notify) notifications++;
      const chain = queue.pop()!;
      const byte = new Uint8Array(1);
      chain.read(0, byte);
      chain.write(0, byte);
      chain.complete(1);
      if (i % 3 === 0) queue.pop();
      const [answer] = driver.pollAll();
      if (answer?.data[0] !== (i & 0xff)) assert.fail(`request ${i}: ${answer?.data}`);
    }
    assert.deepEqual(failures, []);
    assert.equal(interrupts(), 70_000);
    assert.equal(notifications, eventIndex ? 23_334 : 70_000);
  });
}

test('with event indexes only the entry that the driver waits for interrupts', () => {
  const { driver, queue, interrupts, ram } = setUp({ eventIndex: true });
  for (let i = 0; i < 4; i++) driver.add({ in: [1] });
  ram.view.setUint16(driver.available + 4 + 2 * driver.size, 2, true);
  for (let i = 0; i < 4; i++) {
    queue.pop()!.complete(0);
    assert.equal(interrupts(), i < 2 ? 0 : 1);
  }
});

test('the driver can suppress interrupts', () => {
  const { driver, queue, interrupts, ram } = setUp();
  ram.view.setUint16(driver.available, 1, true);
  driver.add({ in: [1] });
  queue.pop()!.complete(0);
  assert.equal(interrupts(), 0);
});

test('queues that are misaligned, outside memory or overlap are refused', () => {
  const refused = (layout: Partial<QueueLayout>, reason: RegExp) => {
    const { queue, failures } = setUp({ layout });
    assert.equal(queue.check(), false);
    assert.match(failures.join(), reason);
    assert.equal(queue.pop(), undefined);
  };
  assert.equal(setUp().queue.check(), true);
  refused({ descriptors: 0x1008 }, /aligned/);
  refused({ available: 0x1001 }, /aligned/);
  refused({ used: 0x1002 }, /aligned/);
  refused({ descriptors: 0x3_fff0 }, /memory/);
  refused({ available: 2 ** 63 }, /memory/);
  refused({ used: 0xffff_fff0 }, /used ring/);
  refused({ used: 0x1000 }, /overlap/);
});

interface Corruption {
  readonly name: string;
  readonly reason: RegExp;
  readonly indirect?: boolean;
  readonly apply: (view: DataView, driver: QueueDriver, head: number) => void;
}

const descriptor = (driver: QueueDriver, index: number) => driver.descriptors + 16 * index;

const CORRUPTIONS: readonly Corruption[] = [
  {
    name: 'a loop',
    reason: /does not end/,
    apply: (view, driver, head) => {
      view.setUint16(descriptor(driver, head) + 12, 1, true);
      view.setUint16(descriptor(driver, head) + 14, head, true);
    },
  },
  {
    name: 'a head outside the table',
    reason: /outside its table/,
    apply: (view, driver) => view.setUint16(driver.available + 4, driver.size, true),
  },
  {
    name: 'a next outside the table',
    reason: /outside its table/,
    apply: (view, driver, head) => view.setUint16(descriptor(driver, head) + 14, 0xffff, true),
  },
  {
    name: 'an index that ran ahead',
    reason: /ran ahead/,
    apply: (view, driver) => view.setUint16(driver.available + 2, driver.size + 1, true),
  },
  {
    name: 'an empty buffer',
    reason: /empty/,
    apply: (view, driver, head) => view.setUint32(descriptor(driver, head) + 8, 0, true),
  },
  {
    name: 'a buffer outside memory',
    reason: /not in memory/,
    apply: (view, driver, head) => view.setBigUint64(descriptor(driver, head), 0xffff_ffff_ffff_fff0n, true),
  },
  {
    name: 'a readable buffer behind a writable one',
    reason: /follows a writable/,
    apply: (view, driver, head) => view.setUint16(descriptor(driver, head) + 12, 3, true),
  },
  {
    name: 'indirect descriptors that were not negotiated',
    reason: /malformed/,
    apply: (view, driver, head) => view.setUint16(descriptor(driver, head) + 12, 4, true),
  },
  {
    name: 'an indirect table of a broken size',
    indirect: true,
    reason: /malformed/,
    apply: (view, driver, head) => view.setUint32(descriptor(driver, head) + 8, 24, true),
  },
  {
    name: 'an indirect table outside memory',
    indirect: true,
    reason: /table is not in memory/,
    apply: (view, driver, head) => view.setBigUint64(descriptor(driver, head), 0x4_0000n, true),
  },
  {
    name: 'an indirect table in an indirect table',
    indirect: true,
    reason: /malformed/,
    apply: (view, driver, head) => {
      const table = Number(view.getBigUint64(descriptor(driver, head), true));
      view.setUint16(table + 12, 4, true);
    },
  },
  {
    name: 'a loop in an indirect table',
    indirect: true,
    reason: /does not end/,
    apply: (view, driver, head) => {
      const table = Number(view.getBigUint64(descriptor(driver, head), true));
      view.setUint16(table + 12, 1, true);
      view.setUint16(table + 14, 0, true);
    },
  },
];

for (const { name, reason, indirect = false, apply } of CORRUPTIONS) {
  test(`${name} breaks the queue once and for good`, () => {
    const { ram, driver, queue, failures } = setUp({ indirect });
    driver.add({ out: [bytes(1), bytes(2)] });
    apply(ram.view, driver, ram.view.getUint16(driver.available + 4, true));
    assert.equal(queue.pop(), undefined);
    assert.equal(queue.pop(), undefined);
    assert.equal(failures.length, 1);
    assert.match(failures[0]!, reason);
  });
}

test('an indirect table may be longer than the queue, up to a limit', () => {
  const served = (count: number, ramSize: number) => {
    const { ram, driver, queue, failures } = setUp({ size: 4, indirect: true, ramSize });
    const table = 0x2_0000;
    for (let i = 0; i < count; i++) {
      ram.view.setUint32(table + 16 * i + 8, ram.size, true);
      ram.view.setUint16(table + 16 * i + 12, i < count - 1 ? 1 : 0, true);
      ram.view.setUint16(table + 16 * i + 14, i + 1, true);
    }
    driver.add({ out: [bytes(1)] });
    const head = ram.view.getUint16(driver.available + 4, true);
    ram.view.setBigUint64(descriptor(driver, head), BigInt(table), true);
    ram.view.setUint32(descriptor(driver, head) + 8, 16 * count, true);
    return queue.pop()?.readableLength ?? failures.join();
  };
  assert.equal(served(1024, 0x40_0000), 2 ** 32);
  assert.match(String(served(1025, 0x4_0000)), /does not end/);
  assert.match(String(served(1024, 0x40_0010)), /too long/);
});

test('any memory content gives bounded work, no exception, and writes only inside memory', () => {
  const word = fc.oneof(
    fc.nat(0xff),
    fc.constantFrom(0, 1, 2, 3, 4, 5, 7, 16, 0x1000, 0x1010, 0xffff, 0x3_ffff, 0xffff_ffff),
    fc.nat(0xffff_ffff),
  );
  const ring = fc.array(word, { minLength: 90, maxLength: 90 });
  fc.assert(
    fc.property(ring, fc.nat(16), fc.boolean(), fc.boolean(), (words, waiting, eventIndex, indirect) => {
      const { ram, driver, queue, failures } = setUp({ eventIndex, indirect });
      for (const [i, value] of words.entries()) ram.view.setUint32(BASE + 4 * i, value, true);
      ram.view.setUint16(driver.available + 2, waiting, true);
      assert.equal(queue.check(), true);
      let served = 0;
      for (let chain = queue.pop(); chain !== undefined && served < 100; chain = queue.pop()) {
        served++;
        chain.read(0, new Uint8Array(Math.min(chain.readableLength, 0x1000)));
        chain.write(0, new Uint8Array(Math.min(chain.writableLength, 16)));
        chain.complete(chain.writableLength);
      }
      assert.ok(failures.length <= 1);
      assert.ok(served <= 16, `${served} chains`);
      for (const { base, size } of ram.written) assert.ok(base >= 0 && base + size <= ram.size);
      assert.ok(ram.bytesRead < 100 * 1100 * 0x4_0000);
    }),
    { numRuns: 400 },
  );
});

test('requests of any shape come through unchanged, in any order of completion', () => {
  const request: fc.Arbitrary<Request> = fc.record({
    out: fc.array(fc.uint8Array({ minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 4 }),
    in: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 3 }),
  });
  const shapes = fc.array(request, { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(shapes, fc.boolean(), fc.boolean(), fc.nat(), (requests, eventIndex, indirect, seed) => {
      const { driver, queue } = setUp({ size: 16, eventIndex, indirect });
      const expected = new Map<number, number>();
      const waiting: (() => void)[] = [];
      const drain = () => {
        for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
          const current = chain;
          waiting.push(() => {
            const input = new Uint8Array(current.readableLength);
            current.read(0, input);
            const sum = input.reduce((a, b) => (a + b) & 0xff, 0);
            current.complete(current.write(0, new Uint8Array(current.writableLength).fill(sum)));
          });
        }
        for (let i = seed; waiting.length > 0; i += 7) waiting.splice(i % waiting.length, 1)[0]!();
        for (const { token, length, data } of driver.pollAll()) {
          assert.equal(length, data.length);
          assert.ok(data.every((byte) => byte === expected.get(token)));
          expected.delete(token);
        }
      };
      for (const one of requests) {
        let added = driver.add(one);
        if (added === undefined) {
          drain();
          added = driver.add(one)!;
        }
        const all = one.out!.flatMap((part) => [...part]);
        expected.set(added.token, all.reduce((a, b) => a + b, 0) & 0xff);
      }
      drain();
      assert.equal(expected.size, 0);
      assert.equal(driver.freeDescriptors, 16);
    }),
  );
});
