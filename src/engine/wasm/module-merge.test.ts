import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter, OP } from './encoder.ts';
import { ModuleBuilder, type Signature } from './module-builder.ts';
import { mergeInto, readParts } from './module-merge.ts';

const NUMBER: Signature = { parameters: ['i32'], results: ['i32'] };
const WIDE: Signature = { parameters: ['i64'], results: ['i64'] };

/** A body without locals. */
function body(write: (code: ByteWriter) => void): Uint8Array {
  const code = new ByteWriter();
  code.byte(0);
  write(code);
  code.byte(OP.end);
  return code.body();
}
function newModule(): ModuleBuilder {
  const builder = new ModuleBuilder();
  builder.importMemory('e', 'memory', 1, 1);
  builder.importTable('e', 'table');
  return builder;
}

/** `twice`: what `host` of its argument is, twice. */
function doubling(): Uint8Array<ArrayBuffer> {
  const m = newModule();
  const host = m.importFunction('e', 'host', NUMBER);
  const twice = m.declare(NUMBER);
  m.define(
    twice,
    body((code) => {
      code.get(0);
      code.indexed(OP.call, host);
      code.i32(2);
      code.byte(OP.i32_mul);
    }),
  );
  m.exportFunction('twice', twice);
  return m.finish();
}
/** `h`: `twice` of its argument where that is not 0, else the function at place 0 of the table of `host(300)`; so many types and functions before it. */
function choosing(before: number): Uint8Array<ArrayBuffer> {
  const m = newModule();
  const twice = m.importFunction('e', 'twice', NUMBER);
  const host = m.importFunction('e', 'host', NUMBER);
  for (let i = 0; i < before; i++) {
    const wide = m.declare(WIDE);
    m.define(
      wide,
      body((code) => code.get(0)),
    );
  }
  const h = m.declare(NUMBER);
  m.define(
    h,
    body((code) => {
      code.get(0);
      code.hint(false);
      code.open(OP.if);
      code.get(0);
      code.indexed(OP.call, twice);
      code.byte(OP.return);
      code.byte(OP.end);
      code.i32(300);
      code.indexed(OP.call, host);
      code.i32(0);
      code.indexed(OP.call_indirect, m.type(NUMBER));
      code.u32(0);
    }),
  );
  m.exportFunction('h', h);
  return m.finish();
}

test('merged modules do what they did apart, and have the hints that they had', () => {
  const modules = [doubling(), choosing(0), choosing(200)];
  const builder = newModule();
  const named = modules.map((bytes, i) => ({ bytes, name: (name: string) => (name === 'h' ? `h of ${i}` : name) }));
  assert.deepEqual(mergeInto(builder, named, 'e'), ['host']);
  const merged = builder.finish();
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: 1 });
  const e = { memory, table, host: (n: number) => n + 1 };
  const exports = new WebAssembly.Instance(new WebAssembly.Module(merged), { e }).exports;
  const functions = exports as Record<string, (n: number) => number>;
  assert.deepEqual(Object.keys(functions).sort(), ['h of 1', 'h of 2', 'twice']);
  table.set(0, functions.twice);
  for (const h of [functions['h of 1'], functions['h of 2']]) {
    assert.equal(h(20), 42);
    assert.equal(h(0), 604);
  }
  const { imports, functions: all, hints } = readParts(merged);
  assert.equal(all.length, 203);
  const hinted = [...hints].map(([index, places]) => [index - imports.length, [...places.values()]]);
  assert.deepEqual(hinted, [
    [1, [false]],
    [202, [false]],
  ]);
});

test('what cannot be merged is not', () => {
  const m = newModule();
  m.importGlobal('e', 'number', 'i32');
  const bytes = m.finish();
  assert.throws(() => mergeInto(newModule(), [{ bytes, name: (name) => name }], 'e'), /stay apart/);
});
