import type { Device, Width } from '../contract.ts';
import { allOnes } from '../little-endian.ts';
import type { StateTransfer } from '../state.ts';
import type { PciFunction } from './function.ts';
import { CONFIG_SIZE } from './registers.ts';

/** The function at a device × 8 + function number of bus 0. */
export type FunctionAt = (deviceFunction: number) => PciFunction | undefined;

const ADDRESS_ENABLE = 0x8000_0000;
const ADDRESS_WRITABLE = 0x80ff_fffc;
const RESET_CONTROL_OFFSET = 1;

/** CONFIG_ADDRESS (PCI 3.0 §3.2.2.3.2): a 32-bit register; narrower accesses pass it by. */
export class ConfigAddress implements Device {
  readonly name = 'pci-config-address';
  readonly #resetControl: Device | undefined;
  #value = 0;

  constructor(resetControl: Device | undefined) {
    this.#resetControl = resetControl;
  }

  /** Bus, device and function (16 bits) and register number, or undefined while disabled. */
  get target(): { readonly busDeviceFunction: number; readonly register: number } | undefined {
    if (this.#value < ADDRESS_ENABLE) return undefined;
    return { busDeviceFunction: (this.#value >>> 8) & 0xffff, register: this.#value & 0xfc };
  }

  read(offset: number, width: Width): number {
    if (offset === 0 && width === 4) return this.#value;
    if (offset === RESET_CONTROL_OFFSET && width === 1 && this.#resetControl !== undefined)
      return this.#resetControl.read(0, 1);
    return allOnes(width);
  }

  write(offset: number, width: Width, value: number): void {
    if (offset === 0 && width === 4) this.#value = (value & ADDRESS_WRITABLE) >>> 0;
    else if (offset === RESET_CONTROL_OFFSET && width === 1) this.#resetControl?.write(0, 1, value);
  }

  transferState(state: StateTransfer): void {
    this.#value = state.doubleword('address', this.#value);
  }

  reset(): void {
    this.#value = 0;
  }
}

/** CONFIG_DATA: the window on the register that CONFIG_ADDRESS names. */
export class ConfigData implements Device {
  readonly name = 'pci-config-data';
  readonly #address: ConfigAddress;
  readonly #functionAt: FunctionAt;

  constructor(address: ConfigAddress, functionAt: FunctionAt) {
    this.#address = address;
    this.#functionAt = functionAt;
  }

  read(offset: number, width: Width): number {
    const target = this.#address.target;
    if (target === undefined || offset + width > 4) return allOnes(width);
    return this.#functionAt(target.busDeviceFunction)?.read(target.register + offset, width) ?? allOnes(width);
  }

  write(offset: number, width: Width, value: number): void {
    const target = this.#address.target;
    if (target === undefined || offset + width > 4) return;
    this.#functionAt(target.busDeviceFunction)?.write(target.register + offset, width, value);
  }

  reset(): void {}
}

const ECAM_FUNCTION_SIZE = 0x1000;

/** Enhanced configuration access (PCI Express 5.0 §7.2.2) to bus 0. There are no extended capabilities: they read as zero. */
export class Ecam implements Device {
  readonly name = 'pci-ecam';
  readonly #functionAt: FunctionAt;

  constructor(functionAt: FunctionAt) {
    this.#functionAt = functionAt;
  }

  read(offset: number, width: Width): number {
    const register = offset % ECAM_FUNCTION_SIZE;
    const pciFunction = this.#functionAt(Math.floor(offset / ECAM_FUNCTION_SIZE));
    if (pciFunction === undefined) return allOnes(width);
    return register + width <= CONFIG_SIZE ? pciFunction.read(register, width) : 0;
  }

  write(offset: number, width: Width, value: number): void {
    const register = offset % ECAM_FUNCTION_SIZE;
    if (register + width > CONFIG_SIZE) return;
    this.#functionAt(Math.floor(offset / ECAM_FUNCTION_SIZE))?.write(register, width, value);
  }

  reset(): void {}
}
