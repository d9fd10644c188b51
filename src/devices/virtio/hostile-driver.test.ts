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

/** One field of the rings set to something: `index` counts descriptors, or entries of the available ring. */
const MUTATION = fc.oneof(
  fc.record({
    field: fc.constant('at' as const),
    index: fc.nat(SIZE - 1),
    value: fc.constantFrom(0, 0x1000, 0x1080, 0x1084, 0x10_1000, RAM - 16, RAM, 2 ** 32, 2 ** 52, 2 ** 63),
  }),
  fc.record({
    field: fc.constant('length' as const),
    index: fc.nat(SIZE - 1),
    value: fc.oneof(fc.constantFrom(0, 1, 15, 16, 511, 0x2000), fc.nat(RAM), fc.nat(0xffff_ffff)),
  }),
  fc.record({ field: fc.constant('flags' as const), index: fc.nat(SIZE - 1), value: fc.nat(7) }),
  fc.record({ field: fc.constant('next' as const), index: fc.nat(SIZE - 1), value: fc.nat(SIZE) }),
  fc.record({ field: fc.constant('head' as const), index: fc.nat(SIZE - 1), value: fc.nat(SIZE) }),
);

const QUEUE = fc.record({
  mutations: fc.array(MUTATION, { maxLength: 4 }),
  waiting: fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: SIZE }) }, fc.nat(0xffff)),
  requestType: fc.constantFrom(0, 1, 4, 8, 11, 13, 99),
  sector: fc.oneof(fc.nat(64), fc.maxSafeNat()),
});
type Rubbish = typeof QUEUE extends fc.Arbitrary<infer T> ? T : never;

/** Two good requests (header, data, status in descriptors 0–2 and 4–6), then whatever the mutations make of them. */
function corrupt(guest: VirtioGuest, index: number, { mutations, waiting, requestType, sector }: Rubbish): void {
  const { view } = guest.ram;
  const { descriptors, available } = guest.queues[index]!;
  for (let i = 0; i < SIZE; i++) {
    const at = 0x20_0000 + 0x1000 * i;
    view.setUint32(at, requestType, true);
    view.setBigUint64(at + 8, BigInt(sector), true);
    view.setBigUint64(descriptors + 16 * i, BigInt(at), true);
    view.setUint32(descriptors + 16 * i + 8, [16, 512, 1, 16][i % 4]!, true);
    view.setUint16(descriptors + 16 * i + 12, [1, requestType === 1 ? 1 : 3, 2, 2][i % 4]!, true);
    view.setUint16(descriptors + 16 * i + 14, (i + 1) % SIZE, true);
    view.setUint16(available + 4 + 2 * i, [0, 4, 3, 7][i % 4]!, true);
  }
  for (const { field, index: i, value } of mutations) {
    if (field === 'at') view.setBigUint64(descriptors + 16 * i, BigInt(value), true);
    else if (field === 'length') view.setUint32(descriptors + 16 * i + 8, value, true);
    else if (field === 'flags') view.setUint16(descriptors + 16 * i + 12, value, true);
    else if (field === 'next') view.setUint16(descriptors + 16 * i + 14, value, true);
    else if (field === 'head') view.setUint16(available + 4 + 2 * i, value, true);
    else field satisfies never;
  }
  view.setUint16(available + 2, waiting, true);
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
