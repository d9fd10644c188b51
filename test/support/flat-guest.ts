/** A guest of a few bytes in flat 32-bit protected mode without paging, on any engine and tier. */
import type { Bus, Device } from '../../src/devices/contract.ts';
import type { Engine, EngineHost, InterruptSource, Vcpu } from '../../src/engine/engine.ts';
import { createReferenceEngine } from '../../src/engine/reference/engine.ts';
import { createWasmEngine } from '../../src/engine/wasm/engine.ts';

const RAM = 2 ** 20;
const memoryBytes = RAM;

/** Every way to execute a guest. */
export const ENGINES: Readonly<Record<string, () => Engine>> = {
  reference: () => createReferenceEngine({ memoryBytes }),
  interpreter: () => createWasmEngine({ memoryBytes, tier: 'interpreter' }),
  translator: () => createWasmEngine({ memoryBytes, tier: 'translator' }),
  both: () => createWasmEngine({ memoryBytes, tier: 'both' }),
};

/** A bus that reads as all ones and tells a listener of writes. */
export function listeningBus(written: (address: number, value: number) => void = () => {}): Bus {
  return {
    map: (_range, _device: Device) => {},
    unmap: () => {},
    read: (_address, width) => 2 ** (8 * width) - 1,
    write: (address, _width, value) => written(address, value),
  };
}

/** An interrupt source with one wire. */
export class Wire implements InterruptSource {
  asserted = false;
  readonly #vector: number;

  constructor(vector: number) {
    this.#vector = vector;
  }
  pending(): boolean {
    return this.asserted;
  }
  acknowledge(): number {
    this.asserted = false;
    return this.#vector;
  }
  takeNmi(): boolean {
    return false;
  }
  taskPriority(): number {
    return 0;
  }
  setTaskPriority(): void {}
}

export class FlatGuest {
  readonly vcpu: Vcpu;
  readonly #engine: Engine;

  /** `code` goes to 0x1000, where execution starts; the stack ends at 0x9000. */
  constructor(engine: Engine, code: readonly number[], options: Partial<EngineHost> = {}) {
    this.#engine = engine;
    this.vcpu = engine.createVcpu({
      mmio: listeningBus(),
      ports: listeningBus(),
      interrupts: new Wire(0),
      msrs: { read: () => undefined, write: () => false },
      timestamp: () => 0n,
      entropy: () => 0n,
      ...options,
    });
    this.write(0x1000, code);
    this.#enterFlatMode();
  }

  #enterFlatMode(): void {
    for (const name of ['ES', 'CS', 'SS', 'DS', 'FS', 'GS']) {
      this.vcpu.setRegister(`${name}.base`, 0n);
      this.vcpu.setRegister(`${name}.limit`, 0xffffffffn);
      this.vcpu.setRegister(`${name}.access`, name === 'CS' ? 0xc09bn : 0xc093n);
      this.vcpu.setRegister(`${name}.selector`, name === 'CS' ? 8n : 16n);
    }
    this.vcpu.setRegister('CR0', 0x11n);
    this.vcpu.setRegister('RIP', 0x1000n);
    this.vcpu.setRegister('RSP', 0x9000n);
  }

  write(at: number, bytes: readonly number[]): void {
    this.#engine.memory.writable(at, bytes.length)!.set(bytes);
  }
  read(at: number, length: number): Uint8Array {
    return this.#engine.memory.readable(at, length)!;
  }

  /** Runs until HLT, at most `limit` instructions. Returns how it ended. */
  run(limit = 1_000_000): string {
    const end = this.vcpu.retired() + limit;
    for (;;) {
      const exit = this.vcpu.run(end - this.vcpu.retired());
      if (exit.kind !== 'budgetSpent' || this.vcpu.retired() >= end) return exit.kind;
    }
  }
  registers(): Readonly<Record<string, bigint>> {
    const names = ['RAX', 'RCX', 'RDX', 'RBX', 'RSP', 'RBP', 'RSI', 'RDI', 'RIP', 'RFLAGS'];
    return Object.fromEntries(names.map((name) => [name, this.vcpu.register(name)]));
  }
}

/** Four little-endian bytes. */
export const dword = (n: number): number[] => [n & 0xff, (n >> 8) & 0xff, (n >> 16) & 0xff, (n >> 24) & 0xff];
