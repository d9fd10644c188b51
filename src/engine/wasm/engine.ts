/** The engine that runs guests as WebAssembly. */
import type { Engine } from '../engine.ts';
import { EngineMemory } from '../memory.ts';
import { InterpreterVcpu } from './vcpu.ts';

/** @throws UserError when the memory has a size that cannot be. */
export function createWasmEngine({ memoryBytes }: { readonly memoryBytes: number }): Engine {
  const memory = new EngineMemory(memoryBytes);
  return { name: 'wasm', memory, createVcpu: (host) => new InterpreterVcpu(memory, host) };
}
