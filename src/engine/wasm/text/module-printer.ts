/** A module as WebAssembly text: the sections that our modules have. */
import { ByteReader } from './byte-reader.ts';
import { printCode, readLocals, valueType } from './code-printer.ts';

const SECTION = { type: 1, import: 2, function: 3, export: 7, code: 10 } as const;
const KINDS = ['func', 'table', 'memory', 'global'] as const;
const HEADER = 8;
const HAS_MAXIMUM = 1;
const SHARED = 2;

interface Parts {
  readonly types: readonly string[];
  readonly imports: readonly string[];
  readonly importedFunctions: number;
  readonly functionTypes: readonly number[];
  readonly exports: readonly string[];
  readonly bodies: readonly Uint8Array[];
}

function sectionsOf(module: Uint8Array): ReadonlyMap<number, ByteReader> {
  const r = new ByteReader(module, HEADER);
  const sections = new Map<number, ByteReader>();
  while (!r.done) sections.set(r.byte(), new ByteReader(r.bytes(r.u32())));
  return sections;
}

function readType(r: ByteReader): string {
  r.byte();
  const list = (word: string): string[] => {
    const types = r.vector(() => valueType(r.byte()));
    return types.length > 0 ? [`(${word} ${types.join(' ')})`] : [];
  };
  return ['func', ...list('param'), ...list('result')].join(' ');
}

function readLimits(r: ByteReader): string {
  const flags = r.byte();
  const words = [r.u32(), ...(flags & HAS_MAXIMUM ? [r.u32()] : [])].map(String);
  return [...words, ...(flags & SHARED ? ['shared'] : [])].join(' ');
}

function readImport(r: ByteReader): { readonly kind: number; readonly text: string } {
  const names = `"${r.name()}" "${r.name()}"`;
  const kind = r.byte();
  const what = (): string => {
    if (kind === 0) return `(type ${r.u32()})`;
    if (kind === 2) return readLimits(r);
    const element = r.byte() === 0x70 ? 'funcref' : 'externref';
    return `${readLimits(r)} ${element}`;
  };
  return { kind, text: `(import ${names} (${KINDS[kind]} ${what()}))` };
}

function readParts(module: Uint8Array): Parts {
  const sections = sectionsOf(module);
  const all = <T>(section: number, each: (r: ByteReader) => T): T[] => {
    const r = sections.get(section);
    return r === undefined ? [] : r.vector(() => each(r));
  };
  const imports = all(SECTION.import, readImport);
  return {
    types: all(SECTION.type, readType),
    imports: imports.map(({ text }) => text),
    importedFunctions: imports.filter(({ kind }) => kind === 0).length,
    functionTypes: all(SECTION.function, (r) => r.u32()),
    exports: all(SECTION.export, (r) => `(export "${r.name()}" (${KINDS[r.byte()]} ${r.u32()}))`),
    bodies: all(SECTION.code, (r) => r.bytes(r.u32())),
  };
}

function printFunction(index: number, type: number, body: Uint8Array): string[] {
  const { types, codeAt } = readLocals(body);
  const lines = printCode(body.subarray(codeAt), {}).map(({ depth, text }) => `${'  '.repeat(depth + 1)}${text}`);
  const locals = types.length > 0 ? [`  (local ${types.join(' ')})`] : [];
  return [`(func (;${index};) (type ${type})`, ...locals, ...lines, ')'];
}

/** The text of a module of types, imports, functions and exports. */
export function printModule(module: Uint8Array): string {
  const { types, imports, importedFunctions, functionTypes, exports, bodies } = readParts(module);
  const functions = bodies.flatMap((body, i) => printFunction(importedFunctions + i, functionTypes[i], body));
  const lines = [...types.map((t) => `(type (${t}))`), ...imports, ...functions, ...exports];
  return ['(module', ...lines.map((line) => `  ${line}`), ')', ''].join('\n');
}
