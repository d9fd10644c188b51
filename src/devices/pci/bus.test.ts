import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PCI_WINDOW, PciGuest } from '../../../test/support/pci-guest.ts';
import { ResetControl } from '../reset-control.ts';
import type { BarDescription } from './bar.ts';
import { intxWire, PciBus } from './bus.ts';
import { PciFunction, type PciIdentity } from './function.ts';
import { hostBridge } from './host-bridge.ts';

const IDENTITY: PciIdentity = { vendor: 0x1234, device: 0x5678, classCode: 0x01_02_03, interruptPin: 1 };
const MEMORY = 2;

/** A window that reads as its number. */
const window = (number: number) => ({
  name: `window ${number}`,
  read: () => number,
  write: () => {},
  reset: () => {},
});

function functionWith(...bars: [index: number, kind: BarDescription['kind'], size: number][]): PciFunction {
  const made = new PciFunction('made', IDENTITY);
  for (const [index, kind, size] of bars) made.addBar(index, { kind, size, device: window(index) });
  return made;
}

test('the host bridge identifies itself; empty places read as all ones', () => {
  const guest = new PciGuest();
  guest.bus.plug(0, hostBridge());
  assert.equal(guest.readConfig(0, 0, 4), 0x1237_8086);
  assert.equal(guest.readConfig(0, 8, 4) >>> 8, 0x06_00_00);
  assert.equal(guest.readConfig(0, 0, 4, 1), 0xffff_ffff);
  assert.equal(guest.readConfig(31, 0, 2), 0xffff);
  guest.ports.write(0xcf8, 4, 0x8001_0000);
  assert.equal(guest.ports.read(0xcfc, 4), 0xffff_ffff, 'bus 1 does not exist');
  guest.ports.write(0xcf8, 4, 0);
  assert.equal(guest.ports.read(0xcfc, 4), 0xffff_ffff, 'configuration cycles are disabled');
});

test('CONFIG_ADDRESS takes whole doublewords; 0xCF9 is the reset control register', () => {
  const base = new PciGuest();
  let resets = 0;
  const { mmio, ports, messages, intx } = base;
  const bus = new PciBus({ mmio, ports, messages, intx, resetControl: new ResetControl(() => resets++) });
  bus.configAddress.write(0, 4, 0xffff_ffff);
  assert.equal(bus.configAddress.read(0, 4), 0x80ff_fffc);
  bus.configAddress.write(0, 1, 0);
  bus.configAddress.write(0, 2, 0);
  assert.equal(bus.configAddress.read(0, 4), 0x80ff_fffc);
  assert.equal(bus.configAddress.read(2, 2), 0xffff);
  bus.configAddress.write(1, 1, 2);
  assert.deepEqual([bus.configAddress.read(1, 1), resets], [2, 0]);
  bus.configAddress.write(1, 1, 6);
  assert.equal(resets, 1);
});

test('narrow configuration accesses reach the bytes they name', () => {
  const guest = new PciGuest();
  guest.bus.plug(3, functionWith());
  assert.equal(guest.readConfig(3, 0, 2), 0x1234);
  assert.equal(guest.readConfig(3, 2, 2), 0x5678);
  assert.equal(guest.readConfig(3, 3, 1), 0x56);
  assert.equal(guest.readConfig(3, 0x0b, 1), 0x01);
  guest.writeConfig(3, 0x3c, 1, 7);
  assert.equal(guest.readConfig(3, 0x3c, 4), 0x0000_0107);
});

test('a BAR tells its size and nothing else about it can be changed', () => {
  const size = fc.integer({ min: 4, max: 31 }).map((bits) => 2 ** bits);
  const kind = fc.constantFrom<BarDescription['kind']>('memory32', 'memory64', 'io');
  fc.assert(
    fc.property(kind, size, fc.integer({ min: 0, max: 0xffff_ffff }), (kind, size, written) => {
      const guest = new PciGuest();
      guest.bus.plug(1, functionWith([0, kind, size]));
      const flags = { memory32: 0, memory64: 4, io: 1 }[kind];
      guest.writeConfig(1, 0x10, 4, 0xffff_ffff);
      const all = guest.readConfig(1, 0x10, 4);
      assert.equal(all, (-size >>> 0) + flags);
      guest.writeConfig(1, 0x10, 4, written);
      assert.equal(guest.readConfig(1, 0x10, 4), written - (written % size) + flags);
      guest.writeConfig(1, 0x14, 4, 0xffff_ffff);
      assert.equal(guest.readConfig(1, 0x14, 4), kind === 'memory64' ? 0xffff_ffff : 0);
    }),
  );
});

test('decoding follows COMMAND and the address', () => {
  const guest = new PciGuest();
  guest.bus.plug(1, functionWith([2, 'memory64', 0x1000], [1, 'io', 0x20]));
  guest.writeConfig(1, 0x18, 4, 0xd000_0000);
  guest.writeConfig(1, 0x1c, 4, 0x12);
  guest.writeConfig(1, 0x14, 4, 0xc000);
  const memory = 0x12_d000_0000;
  assert.equal(guest.mmio.read(memory, 4), 0xffff_ffff);
  guest.writeConfig(1, 4, 2, MEMORY);
  assert.equal(guest.mmio.read(memory, 4), 2);
  assert.equal(guest.ports.read(0xc000, 1), 0xff);
  guest.writeConfig(1, 4, 1, MEMORY | 1);
  assert.equal(guest.ports.read(0xc01f, 1), 1);
  guest.writeConfig(1, 0x1c, 4, 0x13);
  assert.deepEqual([guest.mmio.read(memory, 4), guest.mmio.read(memory + 2 ** 32, 4)], [0xffff_ffff, 2]);
  guest.writeConfig(1, 4, 2, 0);
  assert.equal(guest.mmio.read(memory + 2 ** 32, 4), 0xffff_ffff);
});

test('a BAR over another waits until the place is free', () => {
  const guest = new PciGuest();
  guest.bus.plug(1, functionWith([0, 'memory32', 0x1000]));
  guest.bus.plug(2, functionWith([1, 'memory32', 0x1000]));
  for (const [device, bar] of [
    [1, 0x10],
    [2, 0x14],
  ] as const) {
    guest.writeConfig(device, bar, 4, 0xd000_0000);
    guest.writeConfig(device, 4, 2, MEMORY);
  }
  assert.equal(guest.mmio.read(0xd000_0000, 4), 0);
  guest.writeConfig(1, 0x10, 4, 0xd000_1000);
  assert.deepEqual([guest.mmio.read(0xd000_0000, 4), guest.mmio.read(0xd000_1000, 4)], [1, 0]);
});

test('whatever a guest writes, what is decoded is what the registers say, and nothing throws', () => {
  const write = fc.record({
    device: fc.integer({ min: 1, max: 2 }),
    register: fc.constantFrom(0x04, 0x10, 0x14, 0x18, 0x1c, 0x20),
    value: fc.oneof(fc.constantFrom(0, 1, 2, 3, 0xd000_0000, 0xd000_1000, 0xd000_2000), fc.nat(0xffff_ffff)),
  });
  fc.assert(
    fc.property(fc.array(write, { maxLength: 40 }), (writes) => {
      const guest = new PciGuest();
      const made = [1, 2].map((device) => {
        const pciFunction = functionWith([0, 'memory32', 0x1000], [1, 'memory64', 0x2000], [4, 'io', 0x10]);
        guest.bus.plug(device, pciFunction);
        return pciFunction;
      });
      for (const { device, register, value } of writes) guest.writeConfig(device, register, 4, value);
      for (const [i, pciFunction] of made.entries()) {
        for (const bar of pciFunction.bars) {
          if (bar.mapped === undefined) continue;
          const { kind, device } = bar.description;
          const base = guest.readConfig(i + 1, bar.offset, 4);
          const enable = kind === 'io' ? 1 : MEMORY;
          assert.equal(bar.mapped.base % 2 ** 32, base - (base % 16));
          assert.notEqual(guest.readConfig(i + 1, 4, 2) & enable, 0);
          const bus = kind === 'io' ? guest.ports : guest.mmio;
          assert.equal(bus.read(bar.mapped.base, 4), device.read(0, 4));
        }
      }
    }),
  );
});

test('resources that firmware assigns are aligned, apart and decoded; reset takes them away', () => {
  const guest = new PciGuest();
  const functions = [
    functionWith([0, 'memory32', 0x10], [2, 'memory64', 0x4000]),
    functionWith([0, 'memory64', 0x8000]),
  ];
  for (const [i, pciFunction] of functions.entries()) guest.bus.plug(i + 1, pciFunction);
  guest.bus.assignResources(PCI_WINDOW);
  const ranges = functions.flatMap((f) => f.bars.map((bar) => bar.mapped!));
  ranges.sort((a, b) => a.base - b.base);
  for (const [i, range] of ranges.entries()) {
    assert.equal(range.base % range.size, 0);
    assert.ok(range.base >= (i === 0 ? PCI_WINDOW.base : ranges[i - 1]!.base + ranges[i - 1]!.size));
  }
  assert.deepEqual([guest.readConfig(1, 0x3c, 1), guest.readConfig(2, 0x3c, 1)], [11, 10]);
  guest.bus.reset();
  assert.ok(functions.every((f) => f.bars.every((bar) => bar.mapped === undefined)));
  assert.equal(guest.readConfig(1, 4, 2), 0);
});

test('a window that is too small leaves BARs unassigned', () => {
  const guest = new PciGuest();
  const pciFunction = functionWith([0, 'memory32', 0x1000], [1, 'memory32', 0x10]);
  guest.bus.plug(1, pciFunction);
  guest.bus.assignResources({ base: 0xc000_0000, size: 0x800 });
  assert.deepEqual(
    pciFunction.bars.map((bar) => bar.mapped?.base),
    [undefined, 0xc000_0000],
  );
});

test('interrupt pins rotate over the wires, share them, and can be disabled', () => {
  const guest = new PciGuest();
  const [first, second] = [functionWith(), functionWith()];
  guest.bus.plug(1, first);
  guest.bus.plug(5, second);
  assert.deepEqual([intxWire(1, 0), intxWire(5, 0), intxWire(2, 3)], [1, 1, 1]);
  first.setInterrupt(true);
  second.setInterrupt(true);
  first.setInterrupt(false);
  assert.deepEqual([guest.intx[1].level, guest.intx[1].rises], [true, 1]);
  assert.equal(guest.readConfig(5, 6, 2) & 8, 8);
  guest.writeConfig(5, 4, 2, 0x400);
  assert.equal(guest.intx[1].level, false);
  assert.equal(guest.readConfig(5, 6, 2) & 8, 8, 'Interrupt Status shows the device, not the pin');
  guest.writeConfig(5, 4, 2, 0);
  assert.equal(guest.intx[1].level, true);
  guest.bus.reset();
  assert.equal(guest.intx[1].level, false);
});

test('functions beside function 0 are announced', () => {
  const guest = new PciGuest();
  guest.bus.plug(4, functionWith(), 2);
  guest.bus.plug(4, functionWith());
  assert.equal(guest.readConfig(4, 0x0e, 1), 0x80);
  assert.equal(guest.readConfig(4, 0, 2, 2), 0x1234);
  assert.throws(() => guest.bus.plug(4, functionWith()), RangeError);
  assert.throws(() => guest.bus.plug(32, functionWith()), RangeError);
});

test('the memory-mapped window shows the same registers', () => {
  const guest = new PciGuest();
  guest.bus.plug(1, functionWith([0, 'memory32', 0x1000]));
  const { ecam } = guest.bus;
  assert.equal(ecam.read(0x8000, 4), 0x5678_1234);
  ecam.write(0x8010, 4, 0xd000_0000);
  assert.equal(guest.readConfig(1, 0x10, 4), 0xd000_0000);
  assert.deepEqual([ecam.read(0x8100, 4), ecam.read(0, 4), ecam.read(0xf_f000, 2)], [0, 0xffff_ffff, 0xffff]);
});

test('capabilities are listed in order and guard their read-only bits', () => {
  const guest = new PciGuest();
  const made = functionWith();
  const seen: number[][] = [];
  const body = Uint8Array.of(0x11, 0x22, 0x33);
  made.addCapability({ id: 9, body, writable: Uint8Array.of(0x0f), written: (...at) => seen.push(at) });
  made.addCapability({ id: 5, body: new Uint8Array(6), writable: new Uint8Array(0) });
  guest.bus.plug(1, made);
  assert.deepEqual(guest.capabilities(1), [
    { id: 9, offset: 0x40 },
    { id: 5, offset: 0x48 },
  ]);
  assert.equal(guest.readConfig(1, 6, 2) & 0x10, 0x10);
  guest.writeConfig(1, 0x40, 4, 0xffff_ffff);
  assert.deepEqual([...body], [0x1f, 0x22, 0x33]);
  assert.deepEqual(seen, [[-2, 4]]);
  assert.throws(() => made.addCapability({ id: 1, body: new Uint8Array(200), writable: body }), RangeError);
});
