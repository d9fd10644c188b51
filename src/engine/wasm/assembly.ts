/** Puts modules together as binaries: functions, the procedures that they call, and imports of what other modules have. */
import { walk } from '../../isa/ir/statements.ts';
import type { External, Procedure, Statement, Type } from '../../isa/ir/types.ts';
import { RAM_BASE } from '../layout.ts';
import { ByteWriter, OP } from './encoder.ts';
import { arrive } from './late-pages.ts';
import { defineDetour, LATE_PROCEDURES, makeLate, placeOf } from './late-procedures.ts';
import { Lowering } from './lowering.ts';
import { ModuleBuilder, type Signature } from './module-builder.ts';
import { type Merged, mergeInto } from './module-merge.ts';
import { WASM_TYPE } from './op-code.ts';
import { OWN_ANSWERS } from './page-blocks.ts';
import { slowLoad, slowStore } from './slow-path.ts';
import { Locals, type Target, withLocals } from './target.ts';

type Callable = Procedure | External;

/** The import module of everything, and the names of the memory and the table in it. */
export const IMPORTS = 'e';
export const MEMORY = 'm';
export const TABLE = 't';
/** The export of a function that goes into the table. */
export const HANDLER = 'h';
/** The exports of a module of functions that others call through the table. */
export const calleeName = (i: number): string => `${HANDLER}${i}`;

const WASM_PAGE = 65536;
const MOST_PAGES = 65536;

/** One module in the making. */
export interface ModuleParts {
  readonly builder: ModuleBuilder;
  readonly cpuBase: number;
  functionIndex(target: Callable): number;
}

/** What a module is made of: what `bodies` and `also` call, and what `define` adds. */
export interface ModulePlan {
  readonly bodies: Iterable<readonly Statement[]>;
  readonly also?: readonly Callable[];
  define(m: ModuleParts): void;
}

/** A module's binary, and by which names it is tied to others. */
export interface Assembly {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Functions that it imports. */
  readonly imports: readonly string[];
  /** Procedures that are part of it and exported, for others to import. */
  readonly procedures: readonly string[];
}

const signatures = new WeakMap<Callable, Signature>();
function signatureOf(c: Callable): Signature {
  const known = signatures.get(c);
  if (known !== undefined) return known;
  const signature = {
    parameters: c.parameters.map((t) => WASM_TYPE[t]),
    results: c.results.map((t) => WASM_TYPE[t]),
  };
  signatures.set(c, signature);
  return signature;
}

const answered = (c: Callable): Callable => (c.kind === 'external' ? (OWN_ANSWERS.get(c) ?? c) : c);

/** What a body calls, the slow paths of its memory accesses included. */
function callsOf(body: readonly Statement[]): ReadonlySet<Callable> {
  const found = new Set<Callable>();
  for (const s of walk(body)) {
    if (s.kind === 'call') found.add(answered(s.target));
    else if (s.kind === 'load') found.add(slowLoad(s.type, s.access, s.forWrite));
    else if (s.kind === 'store') found.add(slowStore(s.value.type, s.access));
    else if (s.kind === 'loadPhysical' || s.kind === 'storePhysical') found.add(arrive);
  }
  return found;
}

/** Builds a module; procedures that are not known (`isKnown`) become part of it. */
export function assemble(cpuBase: number, isKnown: (p: Procedure) => boolean, plan: ModulePlan): Assembly {
  const builder = newModule();
  const indices = new Map<Callable, number>();
  const imports: string[] = [];
  const own: Procedure[] = [];
  const late: Procedure[] = [];
  for (const c of closure(isKnown, plan)) {
    if (c.kind === 'procedure' && isLate(c, plan)) late.push(c);
    else if (c.kind === 'procedure' && !isKnown(c)) own.push(c);
    else {
      imports.push(c.name);
      indices.set(c, builder.importFunction(IMPORTS, c.name, signatureOf(c)));
    }
  }
  for (const p of own) indices.set(p, builder.declare(signatureOf(p)));
  for (const p of late) indices.set(p, defineDetour(builder, signatureOf(p), placeOf(p)!));
  const functionIndex = (c: Callable): number => {
    const index = indices.get(answered(c));
    if (index === undefined) throw new Error(`${c.name} was not collected`);
    return index;
  };
  for (const p of own) {
    builder.define(indices.get(p)!, lowerProcedure(p, cpuBase, functionIndex));
    builder.exportFunction(p.name, indices.get(p)!);
  }
  plan.define({ builder, cpuBase, functionIndex });
  return { bytes: builder.finish(), imports, procedures: own.map((p) => p.name) };
}

/** A plan may be that of making it. */
const isLate = (c: Callable, { also = [] }: ModulePlan): boolean => placeOf(c) !== undefined && !also.includes(c);

/** What stands in the places of late procedures until they are called. */
export const LATE_STUBS: ModulePlan = {
  bodies: [],
  also: [makeLate],
  define({ builder, functionIndex }) {
    for (const [i, p] of LATE_PROCEDURES.entries()) {
      const index = defineDetour(builder, signatureOf(p), placeOf(p)!, (code) => {
        code.i32(i);
        code.indexed(OP.call, functionIndex(makeLate));
      });
      builder.exportFunction(p.name, index);
    }
  },
};

function newModule(): ModuleBuilder {
  const builder = new ModuleBuilder();
  // Of any size: the same modules serve all machines.
  builder.importMemory(IMPORTS, MEMORY, RAM_BASE / WASM_PAGE, MOST_PAGES);
  builder.importTable(IMPORTS, TABLE);
  return builder;
}

/** Several modules as one. */
export function merge(modules: readonly Merged[]): Pick<Assembly, 'bytes' | 'imports'> {
  const builder = newModule();
  const imports = mergeInto(builder, modules, IMPORTS);
  return { bytes: builder.finish(), imports };
}

/** Builds a module without procedures: it imports what it turns out to call, of which `need` hears. */
export function assembleCaller(
  cpuBase: number,
  need: (c: Callable) => void,
  define: (m: ModuleParts) => void,
): Assembly {
  const builder = newModule();
  const indices = new Map<Callable, number>();
  const imports: string[] = [];
  const functionIndex = (asked: Callable): number => {
    const c = answered(asked);
    const known = indices.get(c);
    if (known !== undefined) return known;
    need(c);
    imports.push(c.name);
    const index = builder.importFunction(IMPORTS, c.name, signatureOf(c));
    indices.set(c, index);
    return index;
  };
  define({ builder, cpuBase, functionIndex });
  return { bytes: builder.finish(), imports, procedures: [] };
}

/** Type of the functions that records lead to: record → status. */
export const HANDLER_TYPE: Signature = { parameters: ['i32'], results: ['i32'] };

/** Adds the function for the table. */
export function defineHandler(m: ModuleParts, lower: (m: ModuleParts) => Uint8Array): void {
  defineExported(m, HANDLER, HANDLER_TYPE, lower(m));
}
/** Adds a function that is exported. All is imported by then. */
export function defineExported({ builder }: ModuleParts, name: string, type: Signature, body: Uint8Array): void {
  const index = builder.declare(type);
  builder.define(index, body);
  builder.exportFunction(name, index);
}

function closure(isKnown: (p: Procedure) => boolean, plan: ModulePlan): ReadonlySet<Callable> {
  const { bodies, also = [] } = plan;
  const needed = new Set<Callable>();
  const add = (c: Callable): void => {
    if (needed.has(c)) return;
    needed.add(c);
    if (c.kind === 'procedure' && !isKnown(c) && !isLate(c, plan)) for (const inner of callsOf(c.body())) add(inner);
  };
  for (const c of also) add(c);
  for (const body of bodies) for (const c of callsOf(body)) add(c);
  return needed;
}

function lowerProcedure(p: Procedure, cpuBase: number, functionIndex: (c: Callable) => number): Uint8Array {
  const code = new ByteWriter();
  const locals = new Locals(p.parameters.length);
  const fail = (): never => {
    throw new Error(`${p.name}: a procedure has no fields and does not end instructions`);
  };
  const zeros = (out: ByteWriter): void => {
    for (const t of p.results) pushZero(out, t);
    out.byte(OP.return);
  };
  const target: Target = {
    cpuBase,
    functionIndex,
    field: fail,
    beforeCall: () => {},
    fault: zeros,
    jump: fail,
    exit: fail,
    return: (out) => out.byte(OP.return),
  };
  new Lowering(code, locals, target).body(p.body());
  // Every path of a body with results ends in a return.
  if (p.results.length > 0) code.byte(OP.unreachable);
  code.byte(OP.end);
  return withLocals(locals, code);
}

function pushZero(out: ByteWriter, type: Type): void {
  switch (WASM_TYPE[type]) {
    case 'i32':
      out.i32(0);
      break;
    case 'i64':
      out.i64(0);
      break;
    case 'f32':
    case 'f64':
      out.byte(WASM_TYPE[type] === 'f32' ? OP.f32_const : OP.f64_const);
      for (let i = 0; i < (type === 'f32' ? 4 : 8); i++) out.byte(0);
      break;
    case 'v128':
      out.byte(0xfd);
      out.u32(12);
      for (let i = 0; i < 16; i++) out.byte(0);
      break;
  }
}
