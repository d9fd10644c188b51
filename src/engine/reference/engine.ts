/** The engine that evaluates definitions as they stand: the oracle of tests. */
import type { Engine } from '../engine.ts';
import { EngineMemory } from '../memory.ts';
import { ReferenceVcpu } from './vcpu.ts';

/** @throws UserError when the memory has a size that cannot be. */
export function createReferenceEngine({ memoryBytes }: { readonly memoryBytes: number }): Engine {
  const memory = new EngineMemory(memoryBytes);
  return { name: 'reference', memory, createVcpu: (host) => new ReferenceVcpu(memory, host) };
}
