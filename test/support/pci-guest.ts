/** A board with nothing but RAM and a PCI bus, and a guest that speaks to it through ports and memory-mapped I/O. */
import type { MessageSink, Width } from '../../src/devices/contract.ts';
import { PciBus } from '../../src/devices/pci/bus.ts';
import { AddressBus } from '../../src/machine/bus.ts';
import { TestRam } from './test-ram.ts';
import { Probe } from './wires.ts';

/** A memory window that firmware would use. */
export const PCI_WINDOW = { base: 0xc000_0000, size: 0x1000_0000 };

/** Remembers the messages that reach the interrupt controller. */
export class MessageLog implements MessageSink {
  readonly messages: { readonly address: number; readonly data: number }[] = [];

  message(address: number, data: number): void {
    this.messages.push({ address, data });
  }

  /** The data of all messages since the last call. */
  take(): number[] {
    return this.messages.splice(0).map((m) => m.data);
  }
}

export class PciGuest {
  readonly ram: TestRam;
  readonly mmio = new AddressBus('memory');
  readonly ports = new AddressBus('ports');
  readonly messages = new MessageLog();
  readonly intx = [new Probe(), new Probe(), new Probe(), new Probe()] as const;
  readonly bus: PciBus;

  constructor(ramSize = 0x40_0000) {
    this.ram = new TestRam(ramSize);
    this.bus = new PciBus({
      mmio: this.mmio,
      ports: this.ports,
      messages: this.messages,
      intx: this.intx,
      interruptLine: [10, 11, 10, 11],
    });
    this.ports.map({ base: 0xcf8, size: 4 }, this.bus.configAddress);
    this.ports.map({ base: 0xcfc, size: 4 }, this.bus.configData);
  }

  readConfig(device: number, register: number, width: Width, functionNumber = 0): number {
    this.#select(device, functionNumber, register);
    return this.ports.read(0xcfc + (register & 3), width);
  }

  writeConfig(device: number, register: number, width: Width, value: number, functionNumber = 0): void {
    this.#select(device, functionNumber, register);
    this.ports.write(0xcfc + (register & 3), width, value);
  }

  /** Offsets of the capabilities in list order; throws when the list is malformed. */
  capabilities(device: number): { readonly id: number; readonly offset: number }[] {
    const found: { id: number; offset: number }[] = [];
    for (let at = this.readConfig(device, 0x34, 1); at !== 0; at = this.readConfig(device, at + 1, 1)) {
      if (at < 0x40 || at % 4 !== 0 || found.some((c) => c.offset === at)) throw new Error(`capability at ${at}`);
      found.push({ id: this.readConfig(device, at, 1), offset: at });
    }
    return found;
  }

  /** The address that a 64-bit memory BAR holds. */
  barAddress(device: number, index = 0): number {
    const low = this.readConfig(device, 0x10 + 4 * index, 4);
    return this.readConfig(device, 0x14 + 4 * index, 4) * 2 ** 32 + low - (low & 0xf);
  }

  #select(device: number, functionNumber: number, register: number): void {
    const address = 0x8000_0000 + (device << 11) + (functionNumber << 8) + (register & 0xfc);
    this.ports.write(0xcf8, 4, address);
  }
}
