/** Checks that IR is well formed; a definition that is not is a defect of Trapeze, found when its body is built. */
import { isValue, type OpNode, type Statement, type Type, type Value } from './types.ts';

export class IrError extends Error {
  override readonly name = 'IrError';
}

/** What is asked of an operation's arguments: two integers of one type, two of 32 or 64 bits, two floating-point numbers. */
type Rule = 'integers' | 'words' | 'floats' | 'select';
const rules = (rule: Rule, ops: string): [string, Rule][] => ops.split(' ').map((op) => [op, rule]);
const RULES: ReadonlyMap<string, Rule> = new Map([
  ...rules('integers', 'add sub mul div_u div_s rem_u rem_s and or xor shl shr_u shr_s eq ne lt_u le_u lt_s le_s'),
  ...rules('words', 'rotl rotr'),
  ...rules('floats', 'fadd fsub fmul fdiv feq flt fle'),
  ...rules('select', 'select'),
]);
const isFloat = (type: Type): boolean => type === 'f32' || type === 'f64';

function holds(rule: Rule, args: readonly Value[]): boolean {
  const a = args[0].type;
  const b = args[1].type;
  switch (rule) {
    case 'integers':
      return a === b && a !== 'i128' && !isFloat(a);
    case 'words':
      return a === b && (a === 'i32' || a === 'i64');
    case 'floats':
      return a === b && isFloat(a);
    case 'select':
      return a === 'i1' && b === args[2].type;
    default:
      return rule satisfies never;
  }
}

/** @throws IrError when the arguments' types do not fit the operation. */
export function verifyOp(op: string, args: readonly Value[]): void {
  const rule = RULES.get(op);
  if (rule !== undefined && !holds(rule, args)) throw new IrError(`${op} of ${args.map((v) => v.type).join(', ')}`);
}

const NEEDS_BOOLEAN = (v: Value): boolean => v.type === 'i1';
const NEEDS = (v: Value, type: Type): boolean => v.type === type;

/** @throws IrError when a statement's operands do not have the types it asks for. */
export function verifyStatement(s: Statement): void {
  const ok = isValue(s) ? verifyValue(s) : verifyEffect(s);
  if (!ok) throw new IrError(`${s.kind} has operands of the wrong type`);
}

function verifyValue(v: Value): boolean {
  switch (v.kind) {
    case 'getAt':
    case 'loadRaw':
      return NEEDS(v.kind === 'getAt' ? v.at : v.address, 'i32');
    case 'load':
    case 'loadPhysical':
      return NEEDS(v.address, 'i64');
    case 'op':
      verifyOp((v satisfies OpNode).op, v.args);
      return true;
    default:
      return true;
  }
}

function verifyEffect(s: Exclude<Statement, Value>): boolean {
  switch (s.kind) {
    case 'set':
      return NEEDS(s.value, s.state.type);
    case 'setAt':
      return NEEDS(s.at, 'i32');
    case 'writeVariable':
      return NEEDS(s.value, s.variable.type);
    case 'store':
    case 'storePhysical':
      return NEEDS(s.address, 'i64');
    case 'storeRaw':
      return NEEDS(s.address, 'i32');
    case 'copyRaw':
      return [s.to, s.from, s.bytes].every((v) => NEEDS(v, 'i32'));
    case 'fillRaw':
      return [s.to, s.value, s.bytes].every((v) => NEEDS(v, 'i32'));
    case 'call':
      return s.args.length === s.target.parameters.length && s.args.every((a, i) => NEEDS(a, s.target.parameters[i]));
    case 'if':
      return NEEDS_BOOLEAN(s.condition);
    case 'jump':
      return NEEDS(s.target, 'i64');
    default:
      return true;
  }
}
