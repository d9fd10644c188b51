/** Puts WebAssembly modules together (WebAssembly Core Specification, section 5.5). */
import { HINT_SECTION } from './branch-hints.ts';
import { ByteWriter, hintsIn, TYPE_CODE, type WasmType } from './encoder.ts';

export interface Signature {
  readonly parameters: readonly WasmType[];
  readonly results: readonly WasmType[];
}

const keys = new WeakMap<Signature, string>();
function keyOf(signature: Signature): string {
  let key = keys.get(signature);
  if (key === undefined) {
    key = `${signature.parameters.join()}>${signature.results.join()}`;
    keys.set(signature, key);
  }
  return key;
}

/** A module: imports of functions, numbers, one memory and one table; functions; exports. */
export class ModuleBuilder {
  readonly #types: string[] = [];
  readonly #typeBytes = new ByteWriter();
  readonly #imports = new ByteWriter();
  #importCount = 0;
  #importedFunctions = 0;
  readonly #functionTypes: number[] = [];
  readonly #bodies: (Uint8Array | undefined)[] = [];
  readonly #exports = new ByteWriter();
  #exportCount = 0;

  /** The index of a function type. */
  type(signature: Signature): number {
    const key = keyOf(signature);
    const known = this.#types.indexOf(key);
    if (known >= 0) return known;
    this.#typeBytes.byte(0x60);
    for (const list of [signature.parameters, signature.results]) {
      this.#typeBytes.u32(list.length);
      for (const t of list) this.#typeBytes.byte(TYPE_CODE[t]);
    }
    return this.#types.push(key) - 1;
  }
  #import(module: string, name: string): void {
    this.#imports.name(module);
    this.#imports.name(name);
    this.#importCount++;
  }
  /** Functions are imported before the first is declared. */
  importFunction(module: string, name: string, signature: Signature): number {
    this.#import(module, name);
    this.#imports.byte(0);
    this.#imports.u32(this.type(signature));
    return this.#importedFunctions++;
  }
  /** A memory of at least and at most so many pages. */
  importMemory(module: string, name: string, least: number, most: number): void {
    this.#import(module, name);
    this.#imports.byte(2);
    this.#imports.byte(1);
    this.#imports.u32(least);
    this.#imports.u32(most);
  }
  importTable(module: string, name: string): void {
    this.#import(module, name);
    for (const b of [1, 0x70, 0]) this.#imports.byte(b);
    this.#imports.u32(0);
  }
  /** A number that whoever links the module knows; imported in the order of their indices. */
  importGlobal(module: string, name: string, type: WasmType): void {
    this.#import(module, name);
    for (const b of [3, TYPE_CODE[type], 0]) this.#imports.byte(b);
  }
  /** Declares a function; its body comes later by `define`. */
  declare(signature: Signature): number {
    this.#functionTypes.push(this.type(signature));
    this.#bodies.push(undefined);
    return this.#importedFunctions + this.#bodies.length - 1;
  }
  /** `body`: locals and code, without its size. */
  define(index: number, body: Uint8Array): void {
    this.#bodies[index - this.#importedFunctions] = body;
  }
  exportFunction(name: string, index: number): void {
    this.#exports.name(name);
    this.#exports.byte(0);
    this.#exports.u32(index);
    this.#exportCount++;
  }

  #writeHints(out: ByteWriter): void {
    const hints = this.#bodies.map((body) => hintsIn(body!));
    const hinted = hints.filter((h) => h.length > 0).length;
    if (hinted === 0) return;
    const content = new ByteWriter(5 * hints.reduce((sum, h) => sum + h.length, 16));
    content.name(HINT_SECTION);
    content.u32(hinted);
    for (let i = 0; i < hints.length; i++) {
      if (hints[i].length === 0) continue;
      content.u32(this.#importedFunctions + i);
      content.u32(hints[i].length);
      for (const hint of hints[i]) {
        content.u32(hint >>> 1);
        content.byte(1);
        content.byte(hint & 1);
      }
    }
    out.byte(0);
    out.u32(content.length);
    out.bytes(content.view());
  }

  finish(): Uint8Array<ArrayBuffer> {
    const size = this.#bodies.reduce((sum, body) => sum + (body?.length ?? 0), 0);
    const out = new ByteWriter(size + (size >> 2) + 1024);
    for (const b of [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]) out.byte(b);
    const section = (id: number, count: number, content: Uint8Array): void => {
      const head = new ByteWriter();
      head.u32(count);
      out.byte(id);
      out.u32(head.length + content.length);
      out.bytes(head.view());
      out.bytes(content);
    };
    section(1, this.#types.length, this.#typeBytes.view());
    section(2, this.#importCount, this.#imports.view());
    const functions = new ByteWriter();
    for (const t of this.#functionTypes) functions.u32(t);
    section(3, this.#functionTypes.length, functions.view());
    section(7, this.#exportCount, this.#exports.view());
    this.#writeHints(out);
    const code = new ByteWriter(size + 16 * this.#bodies.length);
    for (const body of this.#bodies) {
      if (body === undefined) throw new Error('a declared function has no body');
      code.u32(body.length);
      code.bytes(body);
    }
    section(10, this.#bodies.length, code.view());
    return new Uint8Array(out.view());
  }
}
