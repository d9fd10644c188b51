import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { COMMON, EVENT_IDX, INDIRECT_DESC, VirtioGuest } from '../../../test/support/virtio-guest.ts';
import type { Width } from '../contract.ts';
import type { VirtioDevice, VirtioDriver, VirtQueue } from './device.ts';

const SLOT = 1;
const VERSION_1 = 1n << 32n;
const NEEDS_RESET = 64;

/** Answers each request with the sum of its bytes. */
class Adder implements VirtioDevice {
  readonly name = 'adder';
  readonly type = 42;
  readonly features = 1n << 3n;
  readonly queueSizes = [16, 8];
  readonly config = Uint8Array.of(1, 2, 3, 4, 5);
  driver: VirtioDriver | undefined;
  resets = 0;

  activate(driver: VirtioDriver): void {
    this.driver = driver;
  }

  notified(_index: number, queue: VirtQueue): void {
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      const bytes = new Uint8Array(Math.min(chain.readableLength, 64));
      chain.read(0, bytes);
      chain.complete(chain.write(0, Uint8Array.of(bytes.reduce((a, b) => a + b, 0))));
    }
  }

  writeConfig(offset: number, width: Width, value: number): void {
    if (width === 1) this.config[offset] = value;
  }

  reset(): void {
    this.driver = undefined;
    this.resets += 1;
  }
}

function setUp() {
  const device = new Adder();
  return { device, guest: new VirtioGuest(device) };
}

const sum = (guest: VirtioGuest, queue = 0) => {
  guest.send(queue, { out: [Uint8Array.of(1, 2, 3)], in: [1] });
  return guest.queues[queue]!.pollAll().map((used) => used.data[0]);
};

test('the function identifies itself and its structures lie in the BAR', () => {
  const { guest } = setUp();
  assert.equal(guest.readConfig(SLOT, 0, 4), ((0x1040 + 42) << 16) | 0x1af4);
  assert.equal(guest.readConfig(SLOT, 8, 1), 1);
  assert.deepEqual(
    [1, 2, 3, 4].map((type) => guest.structure(type).length),
    [0x38, 8, 1, 5],
  );
  assert.equal(guest.readConfig(SLOT, guest.structure(2).capability + 16, 4), 4, 'notify_off_multiplier');
  assert.equal(guest.readConfig(SLOT, guest.structure(1).capability + 2, 1), 16, 'cap_len');
});

test('features: those offered can be accepted, others not, VERSION_1 must be', () => {
  const { guest } = setUp();
  assert.equal(guest.offered(), VERSION_1 | EVENT_IDX | INDIRECT_DESC | 8n);
  assert.equal(guest.negotiate(VERSION_1 | 8n), true);
  assert.equal(guest.negotiate(VERSION_1 | 1n), false);
  assert.equal(guest.negotiate(8n), false);
  assert.equal(guest.negotiate(VERSION_1 | (1n << 33n)), false);
  guest.setCommon(COMMON.status, 1, 0x0f);
  assert.equal(guest.status & 4, 0, 'no DRIVER_OK without FEATURES_OK');
  guest.setCommon(COMMON.deviceFeatureSelect, 4, 2);
  assert.equal(guest.common(COMMON.deviceFeature, 4), 0);
});

for (const features of [0n, EVENT_IDX, INDIRECT_DESC, EVENT_IDX | INDIRECT_DESC]) {
  test(`requests are served with features 0x${features.toString(16)}, by INTx and by MSI-X`, () => {
    const { guest } = setUp();
    guest.start({ features });
    assert.deepEqual(sum(guest), [6]);
    assert.equal(guest.intxLevel, true);
    assert.equal(guest.isr(), 1);
    assert.deepEqual([guest.intxLevel, guest.isr()], [false, 0]);
    guest.start({ features, msix: true });
    assert.deepEqual(sum(guest, 1), [6]);
    assert.deepEqual(guest.messages.take(), [0x42]);
    assert.equal(guest.intxLevel, false);
  });
}

test('nothing is served before DRIVER_OK, and reset forgets everything', () => {
  const { guest, device } = setUp();
  guest.negotiate(VERSION_1);
  guest.notify(0);
  assert.equal(device.driver, undefined);
  guest.start({ msix: true });
  assert.equal(guest.status, 0x0f);
  assert.notEqual(device.driver, undefined);
  guest.setCommon(COMMON.status, 1, 0);
  assert.deepEqual([guest.status, device.driver], [0, undefined]);
  assert.deepEqual([guest.common(COMMON.queueEnable, 2), guest.common(COMMON.queueDesc, 4)], [0, 0]);
  assert.deepEqual([guest.common(COMMON.configVector, 2), guest.common(COMMON.queueVector, 2)], [0xffff, 0xffff]);
  guest.notify(0);
  guest.start();
  assert.deepEqual(sum(guest), [6]);
});

test('a machine reset takes away the BAR and resets the device', () => {
  const { guest, device } = setUp();
  guest.start();
  const { bar } = guest;
  const before = device.resets;
  guest.bus.reset();
  assert.equal(guest.mmio.read(bar, 4), 0xffff_ffff);
  assert.equal(device.resets, before + 1);
});

test('queue registers: sizes are powers of two up to the maximum, vectors must exist, absent queues have no size', () => {
  const { guest } = setUp();
  guest.negotiate(VERSION_1);
  const after = (size: number) => {
    guest.setCommon(COMMON.queueSize, 2, size);
    return guest.common(COMMON.queueSize, 2);
  };
  assert.deepEqual([16, 8, 0, 3, 32, 1].map(after), [16, 8, 8, 8, 8, 1]);
  guest.setCommon(COMMON.queueVector, 2, 2);
  assert.equal(guest.common(COMMON.queueVector, 2), 2);
  guest.setCommon(COMMON.queueVector, 2, 3);
  assert.equal(guest.common(COMMON.queueVector, 2), 0xffff);
  guest.setCommon(COMMON.queueSelect, 2, 1);
  assert.equal(guest.common(COMMON.queueNotifyOff, 2), 1);
  guest.setCommon(COMMON.queueSelect, 2, 2);
  assert.equal(guest.common(COMMON.queueSize, 2), 0);
});

test('the device configuration is read, written and announced', () => {
  const { guest, device } = setUp();
  assert.equal(guest.config(0, 4), 0x0403_0201);
  assert.equal(guest.config(4, 2), 0xffff, 'behind the end');
  guest.setConfig(2, 1, 0x77);
  assert.equal(guest.config(2, 1), 0x77);
  guest.start();
  const generation = guest.common(COMMON.generation, 1);
  device.driver!.configChanged();
  assert.equal(guest.common(COMMON.generation, 1), generation + 1);
  assert.equal(guest.isr(), 2);
  guest.start({ msix: true });
  device.driver!.configChanged();
  assert.deepEqual(guest.messages.take(), [0x40]);
});

test('the BAR can be reached through configuration space', () => {
  const { guest } = setUp();
  const { capability } = guest.structure(5);
  const at = (offset: number, length: number) => {
    guest.writeConfig(SLOT, capability + 4, 1, 0);
    guest.writeConfig(SLOT, capability + 8, 4, offset);
    guest.writeConfig(SLOT, capability + 12, 4, length);
  };
  at(guest.structure(1).offset + COMMON.status, 1);
  guest.writeConfig(SLOT, capability + 16, 1, 3);
  assert.equal(guest.status, 3);
  assert.equal(guest.readConfig(SLOT, capability + 16, 1), 3);
  at(guest.structure(4).offset, 4);
  assert.equal(guest.readConfig(SLOT, capability + 16, 4), 0x0403_0201);
  at(0x8000, 4);
  assert.equal(guest.readConfig(SLOT, capability + 16, 4), 0x0403_0201, 'outside the BAR nothing happens');
});

test('a driver that breaks a queue must reset; the host is told once', () => {
  const { guest } = setUp();
  guest.start({ msix: true });
  const queue = guest.queues[0]!;
  guest.ram.view.setUint16(queue.available + 2, 999, true);
  guest.notify(0);
  assert.equal(guest.status, 0x0f | NEEDS_RESET);
  assert.deepEqual(guest.messages.take(), [0x40]);
  assert.deepEqual(guest.reports, [
    "adder: the guest's driver broke the device: queue 0: the available index ran ahead",
  ]);
  guest.send(1, { out: [Uint8Array.of(1)], in: [1] });
  assert.equal(guest.queues[1]!.poll(), undefined, 'the other queue stopped too');
  guest.start();
  assert.deepEqual(sum(guest), [6]);
  guest.ram.view.setUint16(guest.queues[0]!.available + 2, 999, true);
  guest.notify(0);
  assert.deepEqual([guest.status & NEEDS_RESET, guest.reports.length], [NEEDS_RESET, 1]);
});

test('rings outside memory break the device when the driver is ready', () => {
  const { guest, device } = setUp();
  guest.negotiate(VERSION_1);
  guest.enableQueue(0, 16, { descriptors: 0x100_0000_0000, available: 0x1000, used: 0x2000 });
  guest.setCommon(COMMON.status, 1, 0x0f);
  assert.equal(guest.status, 0x0f | NEEDS_RESET);
  assert.equal(device.driver, undefined);
});

test('no sequence of accesses throws, touches memory outside RAM, or outlives a reset', () => {
  const access = fc.record({
    write: fc.boolean(),
    offset: fc.oneof(fc.nat(0x37), fc.constantFrom(0x1000, 0x2000, 0x3000, 0x3004, 0x4000, 0x6000), fc.nat(0x7fff)),
    width: fc.constantFrom<Width>(1, 2, 4),
    value: fc.oneof(fc.constantFrom(0, 1, 2, 3, 4, 8, 0x0b, 0x0f, 0xff, 0x1000, 0x4000), fc.nat(0xffff_ffff)),
  });
  fc.assert(
    fc.property(fc.array(access, { maxLength: 80 }), fc.boolean(), (accesses, started) => {
      const { guest } = setUp();
      const { bar, ram } = guest;
      if (started) guest.start({ msix: true });
      for (const { write, offset, width, value } of accesses) {
        if (write) guest.mmio.write(bar + offset, width, value);
        else {
          const read = guest.mmio.read(bar + offset, width);
          assert.ok(Number.isInteger(read) && read >= 0 && read < 2 ** (8 * width));
        }
      }
      for (const { base, size } of ram.written) assert.ok(base >= 0 && base + size <= ram.size);
      guest.start();
      assert.deepEqual(sum(guest), [6]);
    }),
  );
});
