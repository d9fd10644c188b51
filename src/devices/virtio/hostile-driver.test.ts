import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GatedDisk } from '../../../test/support/disks.ts';
import { VirtioGuest } from '../../../test/support/virtio-guest.ts';
import { BlockDevice } from './block.ts';
import { ConsoleDevice } from './console.ts';
import type { VirtioDevice } from './device.ts';
import { EntropyDevice } from './entropy.ts';

interface Subject {
  readonly device: VirtioDevice;
  readonly settle: () => Promise<void>;
}

const SUBJECTS: Readonly<Record<string, () => Subject>> = {
  console: () => {
    const device = new ConsoleDevice({ write: () => {} });
    device.input(new Uint8Array(500).fill(0x41));
    return { device, settle: async () => {} };
  },
  block: () => {
    const device = new BlockDevice(new GatedDisk(64), 'disk0');
    return { device, settle: () => device.idle() };
  },
  entropy: () => ({ device: new EntropyDevice((bytes) => bytes.fill(0x5a)), settle: async () => {} }),
};

const RAM = 0x40_0000;
const SIZE = 8;

/** Descriptors that are often plausible: most point into RAM, most flags are legal, most links are inside the table. */
const DESCRIPTOR = fc.record({
  at: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: RAM - 1 }) },
    { weight: 3, arbitrary: fc.constantFrom(0x1000, 0x1080, 0x1084, 0x10_1000, RAM - 16) },
    { weight: 1, arbitrary: fc.constantFrom(RAM, 2 ** 32, 2 ** 52, 2 ** 63) },
  ),
  length: fc.oneof(fc.constantFrom(1, 16, 17, 32, 512, 4096), fc.integer({ min: 0, max: 0x2000 }), fc.nat(0xffff_ffff)),
  flags: fc.oneof({ weight: 6, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(0xffff) }, fc.constant(4)),
  next: fc.oneof({ weight: 8, arbitrary: fc.nat(SIZE - 1) }, { weight: 1, arbitrary: fc.nat(0xffff) }),
});

const QUEUE = fc.record({
  descriptors: fc.array(DESCRIPTOR, { minLength: SIZE, maxLength: SIZE }),
  heads: fc.array(fc.oneof({ weight: 9, arbitrary: fc.nat(SIZE - 1) }, fc.nat(0xffff)), {
    minLength: SIZE,
    maxLength: SIZE,
  }),
  waiting: fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: SIZE }) }, fc.nat(0xffff)),
  /** A block request's header wherever the first descriptor points. */
  requestType: fc.constantFrom(0, 1, 4, 8, 11, 13, 99),
});

type Rubbish = typeof QUEUE extends fc.Arbitrary<infer T> ? T : never;

function corrupt(guest: VirtioGuest, index: number, queue: Rubbish): void {
  const { view } = guest.ram;
  const { descriptors, available } = guest.queues[index]!;
  for (const [i, { at, length, flags, next }] of queue.descriptors.entries()) {
    const entry = descriptors + 16 * i;
    if (at + 16 <= RAM) {
      view.setUint32(at, queue.requestType, true);
      view.setBigUint64(at + 8, BigInt(next), true);
    }
    view.setBigUint64(entry, BigInt(at), true);
    view.setUint32(entry + 8, length, true);
    view.setUint16(entry + 12, flags, true);
    view.setUint16(entry + 14, next, true);
  }
  for (const [i, head] of queue.heads.entries()) view.setUint16(available + 4 + 2 * i, head, true);
  view.setUint16(available + 2, queue.waiting, true);
}

for (const [name, make] of Object.entries(SUBJECTS)) {
  test(`${name}: rings full of rubbish never throw or hang, and a reset mends the device`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(QUEUE, { minLength: 2, maxLength: 2 }), async (rubbish) => {
        const { device, settle } = make();
        const guest = new VirtioGuest(device, RAM);
        guest.start({ queueSize: SIZE, msix: true });
        for (const index of guest.queues.keys()) corrupt(guest, index, rubbish[index]!);
        for (const index of guest.queues.keys()) guest.notify(index);
        await settle();
        for (const { base, size } of guest.ram.written) assert.ok(base >= 0 && base + size <= RAM);
        guest.start({ queueSize: SIZE });
        assert.equal(guest.status, 0x0f);
        const last = guest.queues.length - 1;
        guest.send(last, { out: [new Uint8Array(16)], in: [512, 1] });
        await settle();
        assert.equal(guest.queues[last]!.pollAll().length, 1);
      }),
      { numRuns: 300 },
    );
  });
}

test('a device that writes over its own rings comes to an end', () => {
  const guest = new VirtioGuest(new EntropyDevice((bytes) => bytes.fill(1)), RAM);
  guest.start({ queueSize: SIZE, features: 0n });
  const { descriptors, available } = guest.queues[0]!;
  const { view } = guest.ram;
  view.setBigUint64(descriptors, BigInt(available), true);
  view.setUint32(descriptors + 8, 2 * SIZE, true);
  view.setUint16(descriptors + 12, 2, true);
  view.setUint16(available + 2, 1, true);
  guest.notify(0);
  assert.deepEqual([view.getUint16(available + 2, true), guest.status & 64], [0x0101, 64]);
});
