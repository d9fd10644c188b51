/** The engines that are compared with the host's processor. */
import type { Engine } from '../../src/engine/engine.ts';
import { createReferenceEngine } from '../../src/engine/reference/engine.ts';
import { createWasmEngine } from '../../src/engine/wasm/engine.ts';

type Make = (memoryBytes: number) => Engine;

export const engines: { readonly reference: Make; readonly compared: Readonly<Record<string, Make>> } = {
  /** Also tells what depends on undefined flags. */
  reference: (memoryBytes) => createReferenceEngine({ memoryBytes }),
  compared: {
    interpreter: (memoryBytes) => createWasmEngine({ memoryBytes, tier: 'interpreter' }),
    translator: (memoryBytes) => createWasmEngine({ memoryBytes, tier: 'translator' }),
  },
};
