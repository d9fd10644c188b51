/**
 * Several modules as one: what one exports and another imports is called directly. A module costs V8 some 0.15 ms and 15 KB, however small it
 * is.
 */
import { HINT_SECTION } from './branch-hints.ts';
import { ByteWriter, type WasmType } from './encoder.ts';
import type { ModuleBuilder, Signature } from './module-builder.ts';
import { ByteReader } from './text/byte-reader.ts';
import { readLocals, valueType } from './text/code-printer.ts';
import { type Immediate, instructionAt } from './text/instructions.ts';

const HEADER_BYTES = 8;
const SECTION = { custom: 0, type: 1, import: 2, function: 3, export: 7, code: 10 } as const;
const KIND = { function: 0, table: 1, memory: 2 } as const;

/** A module of imported functions, the memory and the table, functions and exports. */
interface Parts {
  readonly types: readonly Signature[];
  /** Imported functions, with the numbers of their types. */
  readonly imports: readonly { readonly name: string; readonly type: number }[];
  readonly functions: readonly { readonly type: number; readonly body: Uint8Array }[];
  readonly exports: readonly { readonly name: string; readonly index: number }[];
  /** Of each function, by the places of branches: whether they are likely taken. */
  readonly hints: ReadonlyMap<number, ReadonlyMap<number, boolean>>;
}

const NO_HINTS: ReadonlyMap<number, boolean> = new Map();

export function readParts(module: Uint8Array): Parts {
  const r = new ByteReader(module, HEADER_BYTES);
  let types: Signature[] = [];
  let imports: Parts['imports'] = [];
  let functionTypes: number[] = [];
  let exports: Parts['exports'] = [];
  let bodies: Uint8Array[] = [];
  const hints = new Map<number, ReadonlyMap<number, boolean>>();
  while (!r.done) {
    const id = r.byte();
    const end = r.u32() + r.at;
    if (id === SECTION.type) types = r.vector(() => readType(r));
    else if (id === SECTION.import) imports = r.vector(() => readImport(r)).filter((i) => i !== undefined);
    else if (id === SECTION.function) functionTypes = r.vector(() => r.u32());
    else if (id === SECTION.export) exports = r.vector(() => readExport(r));
    else if (id === SECTION.code) bodies = r.vector(() => r.bytes(r.u32()));
    else if (id === SECTION.custom && r.name() === HINT_SECTION) r.vector(() => hints.set(r.u32(), readHints(r)));
    r.at = end;
  }
  return { types, imports, exports, hints, functions: bodies.map((body, i) => ({ body, type: functionTypes[i] })) };
}

function readType(r: ByteReader): Signature {
  r.byte();
  const list = (): WasmType[] => r.vector(() => valueType(r.byte()) as WasmType);
  return { parameters: list(), results: list() };
}
/** Undefined where it is no function. */
function readImport(r: ByteReader): { readonly name: string; readonly type: number } | undefined {
  r.name();
  const name = r.name();
  const kind = r.byte();
  if (kind === KIND.function) return { name, type: r.u32() };
  if (kind !== KIND.table && kind !== KIND.memory) throw new Error(`${name}: modules that import numbers stay apart`);
  if (kind === KIND.table) r.byte();
  const hasMaximum = r.byte() !== 0;
  r.u32();
  if (hasMaximum) r.u32();
  return undefined;
}
function readExport(r: ByteReader): { readonly name: string; readonly index: number } {
  const name = r.name();
  r.byte();
  return { name, index: r.u32() };
}
function readHints(r: ByteReader): ReadonlyMap<number, boolean> {
  return new Map(
    r.vector(() => {
      const place = r.u32();
      // The hint's length, always 1.
      r.u32();
      return [place, r.byte() !== 0] as const;
    }),
  );
}

/** A module to be merged: `name` says how an export is called now. */
export interface Merged {
  readonly bytes: Uint8Array;
  name(exported: string): string;
}

/** Adds the functions of some modules to a new one. `from`: the module that functions are imported from. Returns what it imports. */
export function mergeInto(builder: ModuleBuilder, modules: readonly Merged[], from: string): readonly string[] {
  const all = modules.map(({ bytes }) => readParts(bytes));
  const exporters = new Map<string, readonly [module: number, index: number]>();
  for (const [m, { exports }] of all.entries())
    for (const { name, index } of exports) exporters.set(modules[m].name(name), [m, index]);
  const imported = new Map<string, number>();
  for (const { imports, types } of all) {
    for (const { name, type } of imports) {
      if (!exporters.has(name) && !imported.has(name))
        imported.set(name, builder.importFunction(from, name, types[type]));
    }
  }
  // By module: what was function n.
  const own = all.map(({ functions, types }) => functions.map(({ type }) => builder.declare(types[type])));
  const functionOf = (m: number, n: number): number => {
    const { imports } = all[m];
    if (n >= imports.length) return own[m][n - imports.length];
    const exporter = exporters.get(imports[n].name);
    return exporter === undefined ? imported.get(imports[n].name)! : functionOf(...exporter);
  };
  for (const [m, { functions, imports, types, hints }] of all.entries()) {
    const numbers: Numbers = { function: (n) => functionOf(m, n), type: (n) => builder.type(types[n]) };
    for (const [i, { body }] of functions.entries())
      builder.define(own[m][i], renumbered(body, numbers, hints.get(imports.length + i) ?? NO_HINTS));
  }
  for (const [name, place] of exporters) builder.exportFunction(name, functionOf(...place));
  return [...imported.keys()];
}

/** What functions and types are called now. */
interface Numbers {
  function(n: number): number;
  type(n: number): number;
}

function renumbered(body: Uint8Array, numbers: Numbers, hints: ReadonlyMap<number, boolean>): Uint8Array {
  const r = new ByteReader(body);
  const out = new ByteWriter(body.length + 64);
  r.at = readLocals(body).codeAt;
  out.bytes(body.subarray(0, r.at));
  while (!r.done) {
    const at = r.at;
    const likely = hints.get(at);
    if (likely !== undefined) out.hint(likely);
    const instruction = instructionAt(r);
    if (instruction === undefined) throw new Error(`no instruction that is known at ${at}`);
    const { immediate } = instruction;
    if (immediate === 'function' || immediate === 'indirect') {
      out.bytes(body.subarray(at, r.at));
      out.u32(numbers[immediate === 'function' ? 'function' : 'type'](r.u32()));
      if (immediate === 'indirect') out.u32(r.u32());
    } else {
      skip(r, immediate);
      out.bytes(body.subarray(at, r.at));
    }
  }
  return out.body();
}

function skip(r: ByteReader, immediate: Exclude<Immediate, 'function' | 'indirect'>): void {
  switch (immediate) {
    case 'none':
      return;
    case 'block':
      if (r.signed() >= 0n) throw new Error('blocks have types that are no numbers');
      return;
    case 'label':
    case 'lane':
    case 'local':
    case 'index':
      r.u32();
      return;
    case 'labels':
      r.vector(() => r.u32());
      r.u32();
      return;
    case 'types':
      r.bytes(r.u32());
      return;
    case 'twoIndices':
    case 'memory':
    case 'memoryLane':
      r.u32();
      r.u32();
      if (immediate === 'memoryLane') r.byte();
      return;
    case 'i32':
    case 'i64':
      r.signed();
      return;
    case 'f32':
    case 'f64':
      r.bytes(immediate === 'f32' ? 4 : 8);
      return;
    case 'v128':
    case 'lanes':
      r.bytes(16);
      return;
    default:
      immediate satisfies never;
  }
}
