/**
 * What starting costs before the guest's first instruction: Node with our modules, and the engine for 64-bit code (definitions to IR, IR to
 * WebAssembly, its compilation).
 */
import module from 'node:module';
import { fileURLToPath } from 'node:url';
import { SILENT_HOST } from '../../test/support/silent-host.ts';

const ENTRY = 0x10_0000;
const HLT = 0xf4;
const NS_PER_MS = 1e6;

const report = (name: string, milliseconds: number): void =>
  console.log(`BENCH ${name} ${Math.round(milliseconds * NS_PER_MS)} ns 0 1 runs`);

// As the command does.
module.enableCompileCache(fileURLToPath(new URL('../../.cache/compile', import.meta.url)));
const { createWasmEngine } = await import('../../src/engine/wasm/engine.ts');
const { longMode } = await import('../../src/boot/processor-state.ts');
// Since the start of the process.
const loaded = performance.now();
report('start-modules', loaded);

const engine = createWasmEngine({ memoryBytes: 4 << 20 });
const vcpu = engine.createVcpu(SILENT_HOST);
for (const [name, value] of longMode(engine.memory, ENTRY)) vcpu.setRegister(name, value);
engine.memory.writable(ENTRY, 1)![0] = HLT;
const { kind } = vcpu.run(1000);
if (kind !== 'halted') throw new Error(`the first instruction ended as ${kind}`);
report('start-engine', performance.now() - loaded);
