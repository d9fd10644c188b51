/** The engine that runs guests as WebAssembly. */
import type { Engine } from '../engine.ts';
import type { Instrument } from '../execution-counters.ts';
import { EngineMemory } from '../memory.ts';
import type { CodeStore } from './code-store.ts';
import type { KeptRegions } from './kept-regions.ts';
import type { RegionWatch } from './region-watch.ts';
import type { Tier } from './tier.ts';
import { WasmVcpu } from './vcpu.ts';

export interface WasmEngineOptions {
  /** Bytes of RAM. */
  readonly memoryBytes: number;
  /** `both` unless a test asks for one alone. */
  readonly tier?: Tier | undefined;
  /** Sees every handler of the interpreter as it is made; use it with that tier alone. */
  readonly instrument?: Instrument | undefined;
  /** Sees every region of the translator as it is made. */
  readonly watch?: RegionWatch | undefined;
  /** Keeps the engine's own modules: with what an earlier run left there, this one starts sooner. */
  readonly store?: CodeStore | undefined;
  /** Keeps regions: what an earlier run translated is not translated again. */
  readonly kept?: KeptRegions | undefined;
}

/** @throws UserError when the memory has a size that cannot be. */
export function createWasmEngine({ memoryBytes, ...options }: WasmEngineOptions): Engine {
  const memory = new EngineMemory(memoryBytes);
  return { name: 'wasm', memory, createVcpu: (host) => new WasmVcpu(memory, host, options) };
}
