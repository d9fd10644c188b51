/** The engines by name. They are loaded when asked for: each is a large module. */
import type { Engine } from '../engine/engine.ts';
import type { Instrument } from '../engine/execution-counters.ts';
import type { ENGINES, TIERS } from './choices.ts';

export interface EngineChoice {
  readonly engine: (typeof ENGINES)[number];
  readonly tier: (typeof TIERS)[number];
  /** Bytes of RAM. */
  readonly memory: number;
  readonly instrument?: Instrument | undefined;
}

export async function createEngine({ engine, tier, memory, instrument }: EngineChoice): Promise<Engine> {
  switch (engine) {
    case 'auto':
    case 'wasm':
      return (await import('../engine/wasm/engine.ts')).createWasmEngine({ memoryBytes: memory, tier, instrument });
    case 'reference':
      return (await import('../engine/reference/engine.ts')).createReferenceEngine({ memoryBytes: memory });
    default:
      return engine satisfies never;
  }
}
