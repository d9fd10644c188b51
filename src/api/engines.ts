/** The engines by name. They are loaded when asked for: each is a large module. */
import type { Engine } from '../engine/engine.ts';
import type { Instrument } from '../engine/execution-counters.ts';
import type { CodeStore } from '../engine/wasm/code-store.ts';
import type { KeptRegions } from '../engine/wasm/kept-regions.ts';
import type { RegionWatch } from '../engine/wasm/region-watch.ts';
import type { ENGINES, TIERS } from './choices.ts';

export interface EngineChoice {
  readonly engine: (typeof ENGINES)[number];
  readonly tier: (typeof TIERS)[number];
  /** Bytes of RAM. */
  readonly memory: number;
  readonly instrument?: Instrument | undefined;
  readonly watch?: RegionWatch | undefined;
  readonly store?: CodeStore | undefined;
  readonly kept?: KeptRegions | undefined;
}

export async function createEngine({ engine, memory, ...options }: EngineChoice): Promise<Engine> {
  switch (engine) {
    case 'auto':
    case 'wasm':
      return (await import('../engine/wasm/engine.ts')).createWasmEngine({ memoryBytes: memory, ...options });
    case 'reference':
      return (await import('../engine/reference/engine.ts')).createReferenceEngine({ memoryBytes: memory });
    default:
      return engine satisfies never;
  }
}
