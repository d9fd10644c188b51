import type { Device, Width } from './contract.ts';

/** A device of 8-bit registers: a wider access reaches consecutive registers, low byte first, as on the ISA bus. */
export abstract class ByteDevice implements Device {
  abstract readonly name: string;
  abstract reset(): void;
  protected abstract readByte(offset: number): number;
  protected abstract writeByte(offset: number, value: number): void;

  read(offset: number, width: Width): number {
    if (width === 1) return this.readByte(offset);
    let value = 0;
    for (let i = 0; i < width; i++) value += this.readByte(offset + i) * 2 ** (8 * i);
    return value;
  }

  write(offset: number, width: Width, value: number): void {
    for (let i = 0; i < width; i++) this.writeByte(offset + i, (value >>> (8 * i)) & 0xff);
  }
}

/** What one of several windows of a chip does. */
export interface BytePorts {
  read(offset: number): number;
  write(offset: number, value: number): void;
  reset(): void;
}

/** A window of a chip that shows itself at several places of the port space. */
export class ByteWindow extends ByteDevice {
  readonly name: string;
  readonly #ports: BytePorts;

  constructor(name: string, ports: BytePorts) {
    super();
    this.name = name;
    this.#ports = ports;
  }

  reset(): void {
    this.#ports.reset();
  }

  protected readByte(offset: number): number {
    return this.#ports.read(offset);
  }

  protected writeByte(offset: number, value: number): void {
    this.#ports.write(offset, value);
  }
}
