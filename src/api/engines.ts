/** The engines by name. They are loaded when asked for: each is a large module. */
import type { Engine } from '../engine/engine.ts';
import type { ENGINES } from './choices.ts';

export async function createEngine(name: (typeof ENGINES)[number], memoryBytes: number): Promise<Engine> {
  switch (name) {
    case 'auto':
    case 'wasm':
      return (await import('../engine/wasm/engine.ts')).createWasmEngine({ memoryBytes });
    case 'reference':
      return (await import('../engine/reference/engine.ts')).createReferenceEngine({ memoryBytes });
    default:
      return name satisfies never;
  }
}
