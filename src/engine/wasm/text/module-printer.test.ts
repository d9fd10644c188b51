import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import loadWabt from 'wabt';
import { SILENT_HOST } from '../../../../test/support/silent-host.ts';
import { ByteWriter, OP, OP_FC } from '../encoder.ts';
import { createWasmEngine } from '../engine.ts';
import { ModuleBuilder } from '../module-builder.ts';
import { VECTOR_OPCODES } from '../vector-opcodes.ts';
import { printCode } from './code-printer.ts';
import { INSTRUCTIONS, type Instruction } from './instructions.ts';
import { printModule } from './module-printer.ts';

const wabt = await loadWabt();
const FEATURES = { simd: true, tail_call: true, bulk_memory: true, reference_types: true, multi_value: true } as const;

/** A module in wabt's own words. */
function normal(bytes: Uint8Array): string {
  const module = wabt.readWasm(bytes, { ...FEATURES, readDebugNames: false });
  const text = module.toText({ foldExprs: false, inlineExport: false });
  module.destroy();
  return text;
}
/** The same of our text, which wabt parses. */
function normalOfText(text: string): string {
  const module = wabt.parseWat('printed.wat', text, FEATURES);
  const { buffer } = module.toBinary({ canonicalize_lebs: true });
  module.destroy();
  return normal(buffer);
}

/** Every module that is compiled while `run` runs. */
function modulesOf(run: () => void): Uint8Array[] {
  const { Module } = WebAssembly;
  const found: Uint8Array[] = [];
  WebAssembly.Module = class extends Module {
    constructor(bytes: Uint8Array<ArrayBuffer>) {
      super(bytes);
      found.push(bytes);
    }
  };
  try {
    run();
  } finally {
    WebAssembly.Module = Module;
  }
  return found;
}

test('what we print of the engine’s own modules is what wabt reads in them', () => {
  const modules = modulesOf(() => {
    const engine = createWasmEngine({ memoryBytes: 1 << 20, tier: 'translator' });
    const vcpu = engine.createVcpu(SILENT_HOST);
    // mov cx,100; push cx; pop dx; rol al,1; addps xmm0,xmm1; loop -8; hlt
    engine.memory.writable(0x1000, 16)!.set([0xb9, 100, 0, 0x51, 0x5a, 0xd0, 0xc0, 0x0f, 0x58, 0xc1, 0xe2, 0xf7, 0xf4]);
    vcpu.setRegister('CS.base', 0n);
    vcpu.setRegister('RIP', 0x1000n);
    vcpu.setRegister('RSP', 0x800n);
    vcpu.setRegister('CR4', 0x600n);
    vcpu.run(1000);
    assert.equal(vcpu.register('RCX'), 0n);
  });
  // A block for each of hundreds of handlers, each indented further: the interpreter's loop is 50 MB of text.
  const readable = modules.filter(({ length }) => length < 100_000);
  assert(readable.length > 3);
  for (const bytes of readable) assert.equal(normalOfText(printModule(bytes)), normal(bytes));
});

const label = fc.constant<number[]>([0]);
const leb = (n: number): number[] => {
  const w = new ByteWriter();
  w.u32(n);
  return [...w.view()];
};
const fixed = (n: number, max = 255): fc.Arbitrary<number[]> =>
  fc.array(fc.nat({ max }), { minLength: n, maxLength: n });
const s32 = fc.integer().map((n) => {
  const w = new ByteWriter();
  w.s32(n);
  return [...w.view()];
});
const s64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => {
  const w = new ByteWriter();
  w.s64(n);
  return [...w.view()];
});
/** Infinity, -0; a NaN, infinity. */
const SPECIAL_FLOATS = [
  [0, 0, 0x80, 0x7f],
  [0, 0, 0, 0x80],
];
const SPECIAL_DOUBLES = [
  [1, 0, 0, 0, 0, 0, 0xf0, 0xff],
  [0, 0, 0, 0, 0, 0, 0xf0, 0x7f],
];
const bits = (n: number): fc.Arbitrary<number[]> =>
  fc.oneof(fixed(n), fc.constantFrom<number[]>(...(n === 4 ? SPECIAL_FLOATS : SPECIAL_DOUBLES)));

/** An immediate of an instruction, as bytes. */
function immediateOf({ immediate, alignment }: Instruction): fc.Arbitrary<number[]> {
  switch (immediate) {
    case 'none':
      return fc.constant([]);
    case 'block':
      return fc.constantFrom([0x40], [0x7f], [0x7b], [0]);
    case 'label':
      return label;
    case 'labels':
      return fc.nat({ max: 3 }).map((n) => [n, ...new Array<number>(n + 1).fill(0)]);
    case 'function':
    case 'local':
    case 'index':
      return fc.constant([0]);
    case 'indirect':
    case 'twoIndices':
      return fc.constant([0, 0]);
    case 'types':
      return fc.constantFrom([1, 0x7f], [1, 0x7b]);
    case 'memory':
      return fc.tuple(fc.nat({ max: alignment }), fc.nat()).map(([a, offset]) => [a, ...leb(offset)]);
    case 'memoryLane':
      return fc.tuple(fc.nat({ max: alignment }), fc.nat()).map(([a, offset]) => [a, ...leb(offset), 0]);
    case 'lane':
      return fc.nat({ max: 1 }).map((n) => [n]);
    case 'lanes':
      return fixed(16, 31);
    case 'v128':
      return fixed(16);
    case 'i32':
      return s32;
    case 'i64':
      return s64;
    case 'f32':
      return bits(4);
    case 'f64':
      return bits(8);
    default:
      return immediate satisfies never;
  }
}

/** What stands for itself alone: blocks are the engine's modules' to show, passive segments our modules do not have. */
const LEFT_OUT = /^(block|loop|if|else|end)$|^(memory|table)\.init$|drop$|^global/;
const ALL = Object.entries(INSTRUCTIONS).flatMap(([prefix, list]) =>
  [...list].map(([opcode, instruction]) => ({ prefix: Number(prefix), opcode, instruction })),
);

test('every instruction with any immediate is what wabt reads', () => {
  const alone = ALL.filter(({ instruction }) => !LEFT_OUT.test(instruction.name));
  for (const { prefix, opcode, instruction } of alone) {
    const run = fc.property(immediateOf(instruction), (immediate) => {
      const m = new ModuleBuilder();
      m.importMemory('e', 'm', 1, 1);
      m.importTable('e', 't');
      const f = m.declare({ parameters: ['i32'], results: [] });
      const operation = prefix === 0 ? [opcode] : [prefix, ...leb(opcode)];
      m.define(f, Uint8Array.from([0, OP.unreachable, ...operation, ...immediate, OP.unreachable, OP.end]));
      const bytes = m.finish();
      assert.equal(normalOfText(printModule(bytes)), normal(bytes), instruction.name);
    });
    fc.assert(run, { numRuns: 4 });
  }
});

test('opcodes have the names under which the encoder knows them', () => {
  const dotted = (name: string): string => name.replace(/^(i32|i64|f32|f64|local|global|memory)_/, '$1.');
  for (const [name, opcode] of Object.entries(OP)) assert.equal(INSTRUCTIONS[0].get(opcode)?.name, dotted(name));
  for (const [name, opcode] of Object.entries(OP_FC)) assert.equal(INSTRUCTIONS[0xfc].get(opcode)?.name, dotted(name));
  for (const [name, opcode] of Object.entries(VECTOR_OPCODES)) {
    const printed = INSTRUCTIONS[0xfd].get(opcode)?.name.replace(/_lane(_u)?$/, '');
    assert.equal(printed, name);
  }
});

test('names take the place of numbers, and places in memory are comments', () => {
  const code = Uint8Array.of(0x41, 0, 0x29, 0, 0x80, 0x20, 0x21, 1, 0x10, 2, 0xff, 0x0b);
  const lines = printCode(code, {
    local: (i) => `$R${i}`,
    function: (i) => `$f${i}`,
    place: (offset) => `at ${offset}`,
  });
  assert.deepEqual(
    lines.map(({ at, text }) => [at, text]),
    [
      [0, 'i32.const 0'],
      [2, 'i64.load offset=4096 ;; at 4096'],
      [6, 'local.set $R1'],
      [8, 'call $f2'],
      [10, ';; unknown opcode ff'],
    ],
  );
});
