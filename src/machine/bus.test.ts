import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Device, Width } from '../devices/contract.ts';
import { AddressBus } from './bus.ts';

/** A device whose registers are bytes; remembers what was accessed. */
class Bytes implements Device {
  readonly log: string[] = [];
  readonly name: string;
  readonly bytes: Uint8Array;
  constructor(name: string, size: number) {
    this.name = name;
    this.bytes = Uint8Array.from({ length: size }, (_, i) => i + 1);
  }
  read(offset: number, width: Width): number {
    this.log.push(`r${width}@${offset}`);
    let value = 0;
    for (let i = 0; i < width; i++) value += this.bytes[offset + i]! * 256 ** i;
    return value;
  }
  write(offset: number, width: Width, value: number): void {
    this.log.push(`w${width}@${offset}`);
    for (let i = 0; i < width; i++) this.bytes[offset + i] = Math.floor(value / 256 ** i) & 0xff;
  }
  reset(): void {}
}

const WIDTHS = fc.constantFrom<Width>(1, 2, 4);

test('an access inside one range reaches the device whole', () => {
  const bus = new AddressBus('ports');
  const device = new Bytes('d', 8);
  bus.map({ base: 0x3f8, size: 8 }, device);
  assert.equal(bus.read(0x3fc, 4), 0x08070605);
  bus.write(0x3f9, 2, 0xbeef);
  assert.deepEqual(device.log, ['r4@4', 'w2@1']);
});

test('unmapped reads are all ones and are counted', () => {
  const bus = new AddressBus('ports');
  assert.deepEqual([bus.read(0, 1), bus.read(7, 2), bus.read(9, 4)], [0xff, 0xffff, 0xffff_ffff]);
  bus.write(5, 4, 1);
  assert.deepEqual(bus.accesses().get('unmapped ports'), { reads: 3, writes: 1 });
});

test('an access that straddles ranges is split, low half first', () => {
  const bus = new AddressBus('ports');
  const low = new Bytes('low', 3);
  const high = new Bytes('high', 1);
  bus.map({ base: 0x10, size: 3 }, low);
  bus.map({ base: 0x13, size: 1 }, high);
  assert.equal(bus.read(0x10, 4), 0x01030201);
  assert.deepEqual([low.log, high.log], [['r2@0', 'r1@2'], ['r1@0']]);
});

test('overlaps are refused; a range may be mapped again after unmap', () => {
  const bus = new AddressBus('memory');
  bus.map({ base: 0x1000, size: 0x1000 }, new Bytes('a', 1));
  for (const base of [0x800, 0x1000, 0x1fff])
    assert.throws(() => bus.map({ base, size: 0x900 }, new Bytes('b', 1)), /b at 0x\w+ overlaps a/);
  bus.unmap({ base: 0x1000, size: 0x1000 });
  bus.map({ base: 0x1fff, size: 0x900 }, new Bytes('b', 1));
});

test('every byte of every access reaches the byte of the device it belongs to', () => {
  const ranges = fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(ranges, fc.integer({ min: 0, max: 60 }), WIDTHS, fc.nat(), (slots, address, width, value) => {
      const bus = new AddressBus('memory');
      const model = new Uint8Array(80).fill(0xff);
      const devices = slots.map((slot) => {
        const device = new Bytes(`d${slot}`, 3);
        bus.map({ base: slot * 4, size: 3 }, device);
        return { slot, device };
      });
      bus.write(address, width, value);
      for (const { slot, device } of devices) {
        for (let i = 0; i < 3; i++) {
          const at = slot * 4 + i - address;
          const written = at >= 0 && at < width;
          model[slot * 4 + i] = written ? Math.floor(value / 256 ** at) & 0xff : i + 1;
          assert.equal(device.bytes[i], model[slot * 4 + i]);
        }
      }
      let expected = 0;
      for (let i = 0; i < width; i++) expected += model[address + i]! * 256 ** i;
      assert.equal(bus.read(address, width), expected);
    }),
  );
});
