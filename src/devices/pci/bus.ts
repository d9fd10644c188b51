import type { Bus, Device, IrqLine, MessageSink, Range } from '../contract.ts';
import type { StateTransfer } from '../state.ts';
import { ConfigAddress, ConfigData, Ecam, type FunctionAt } from './config-access.ts';
import type { PciFunction } from './function.ts';
import { COMMAND, COMMAND_MEMORY, INTERRUPT_LINE, INTERRUPT_PIN } from './registers.ts';

/** One value for each of the board's four interrupt wires. */
type Wires<T> = readonly [T, T, T, T];

/** What a PCI bus stands on. */
export interface PciBusHost {
  /** Where memory BARs are decoded. */
  readonly mmio: Bus;
  /** Where I/O BARs are decoded. */
  readonly ports: Bus;
  readonly messages: MessageSink;
  /** `intxWire` says which of the wires a pin is soldered to. */
  readonly intx: Wires<IrqLine>;
  /** What firmware writes into Interrupt Line for each wire; absent: 0xFF, unknown. */
  readonly interruptLine?: Wires<number>;
  /** The reset control register, which answers one-byte accesses to 0xCF9 in the middle of CONFIG_ADDRESS. */
  readonly resetControl?: Device;
}

/** The wire 0–3 that pin 0–3 (INTA#–INTD#) of a device drives: the usual rotation. Boards describe it in _PRT. */
export function intxWire(device: number, pin: number): number {
  return (device + pin) & 3;
}

/** Several functions on one wire: it is asserted while any of them asserts. */
class SharedWire {
  readonly #line: IrqLine;
  readonly #asserting = new Set<PciFunction>();

  constructor(line: IrqLine) {
    this.#line = line;
  }

  input(pciFunction: PciFunction): IrqLine {
    return {
      set: (asserted) => {
        if (asserted === this.#asserting.has(pciFunction)) return;
        if (asserted) this.#asserting.add(pciFunction);
        else this.#asserting.delete(pciFunction);
        this.#line.set(this.#asserting.size > 0);
      },
    };
  }
}

const DEVICES = 32;
const FUNCTIONS = 8;

/** Bus 0 and the ways to its configuration space. */
export class PciBus {
  /** CONFIG_ADDRESS, four ports from 0xCF8. */
  readonly configAddress: ConfigAddress;
  /** CONFIG_DATA, four ports from 0xCFC. */
  readonly configData: Device;
  /** The memory-mapped configuration window of bus 0 (1 MiB), for an MCFG table. */
  readonly ecam: Device;
  readonly #host: PciBusHost;
  readonly #wires: readonly SharedWire[];
  /** By device × 8 + function, the low byte of a requester identifier. */
  readonly #functions = new Map<number, PciFunction>();

  constructor(host: PciBusHost) {
    this.#host = host;
    this.#wires = host.intx.map((line) => new SharedWire(line));
    const at: FunctionAt = (deviceFunction) => this.#functions.get(deviceFunction);
    const address = new ConfigAddress(host.resetControl);
    this.configAddress = address;
    this.configData = new ConfigData(address, at);
    this.ecam = new Ecam(at);
  }

  /** @throws RangeError when the place is taken or does not exist. */
  plug(device: number, pciFunction: PciFunction, functionNumber = 0): void {
    const key = device * FUNCTIONS + functionNumber;
    if (device >= DEVICES || functionNumber >= FUNCTIONS || this.#functions.has(key))
      throw new RangeError(`PCI 00:${device.toString(16)}.${functionNumber} is taken or does not exist`);
    this.#functions.set(key, pciFunction);
    const pin = pciFunction.read(INTERRUPT_PIN, 1) - 1;
    pciFunction.connect({
      mmio: this.#host.mmio,
      ports: this.#host.ports,
      messages: this.#host.messages,
      intx: pin < 0 ? { set: () => {} } : this.#wires[intxWire(device, pin)]!.input(pciFunction),
      addressesFreed: () => this.#retryBars(),
    });
    this.#markMultifunction(device);
  }

  /**
   * What firmware does: gives every memory BAR an address inside `window`, largest first, enables decoding and writes
   * Interrupt Line. BARs that find no room and I/O BARs are left to the guest.
   */
  assignResources(window: Range): void {
    const bars = [...this.#functions.values()].flatMap((owner) => owner.bars.map((bar) => ({ owner, bar })));
    bars.sort((a, b) => b.bar.description.size - a.bar.description.size);
    let next = window.base;
    for (const { owner, bar } of bars) {
      const { kind, size } = bar.description;
      const base = Math.ceil(next / size) * size;
      if (kind === 'io' || base + size > window.base + window.size) continue;
      owner.write(bar.offset, 4, base % 2 ** 32);
      if (kind === 'memory64') owner.write(bar.offset + 4, 4, Math.floor(base / 2 ** 32));
      owner.write(COMMAND, 2, owner.read(COMMAND, 2) | COMMAND_MEMORY);
      next = base + size;
    }
    for (const [key, pciFunction] of this.#functions) this.#writeInterruptLine(key >>> 3, pciFunction);
  }

  /** Restoring drives the interrupt wires: interrupt controllers are restored afterwards. */
  transferState(state: StateTransfer): void {
    this.configAddress.transferState(state);
    if (state.restoring) for (const pciFunction of this.#functions.values()) pciFunction.releaseBars();
    for (const [key, pciFunction] of this.#functions) {
      const place = `${key >>> 3}.${key & 7}`;
      state.part(`function${place}`, (part) => {
        const name = part.choice('name', pciFunction.name, [pciFunction.name]);
        state.require(name === pciFunction.name, `function ${place} is another device`);
        pciFunction.transferState(part);
      });
    }
  }

  /** RST#: every function to its power-on state. The board assigns resources again. */
  reset(): void {
    this.configAddress.reset();
    for (const pciFunction of this.#functions.values()) pciFunction.reset();
  }

  #markMultifunction(device: number): void {
    const numbers = Array.from({ length: FUNCTIONS }, (_, n) => n);
    const count = numbers.filter((n) => this.#functions.has(device * FUNCTIONS + n)).length;
    if (count > 1) this.#functions.get(device * FUNCTIONS)?.markMultifunction();
  }

  #writeInterruptLine(device: number, pciFunction: PciFunction): void {
    const pin = pciFunction.read(INTERRUPT_PIN, 1) - 1;
    if (pin < 0) return;
    pciFunction.write(INTERRUPT_LINE, 1, this.#host.interruptLine?.[intxWire(device, pin)] ?? 0xff);
  }

  #retryBars(): void {
    for (const pciFunction of this.#functions.values()) pciFunction.retryBars();
  }
}
