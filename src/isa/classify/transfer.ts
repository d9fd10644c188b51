/** What each IR operation does to abstract values. */
import { OPS } from '../ir/ops.ts';
import type { OpNode, Type } from '../ir/types.ts';
import { WIDTH } from '../ir/types.ts';
import {
  type Abstract,
  clean,
  constantOf,
  join,
  known,
  mapTaint,
  maskOf,
  NOWHERE,
  spread,
  type Taint,
  UNTAINTED,
  unite,
  unknown,
} from './value.ts';

const lowest = (bits: bigint): bigint => bits & -bits;
/** All bits from the lowest of `bits` upwards: where carries may go. */
const upwards = (width: number, bits: bigint): bigint => (bits === 0n ? 0n : maskOf(width) & ~(lowest(bits) - 1n));

/** The copy of state that is left when `kept` says which bits pass through; that of `a` first. */
function passing(a: Abstract, aKept: bigint, b: Abstract, bKept: bigint): Pick<Abstract, 'sameAt' | 'sameMask'> {
  if (a.sameAt === NOWHERE && b.sameAt === NOWHERE) return { sameAt: NOWHERE, sameMask: 0n };
  if (a.sameAt === NOWHERE) return { sameAt: b.sameAt, sameMask: b.sameMask & bKept };
  const sameMask = a.sameMask & aKept;
  const more = b.sameAt === a.sameAt ? b.sameMask & bKept : 0n;
  return { sameAt: a.sameAt, sameMask: sameMask | more };
}

function bitwise(op: 'and' | 'or' | 'xor', a: Abstract, b: Abstract): Abstract {
  const { width } = a;
  if (op === 'xor') {
    const decided = (a.zeros | a.ones) & (b.zeros | b.ones);
    const ones = (a.ones ^ b.ones) & decided;
    return {
      width,
      zeros: decided & ~ones,
      ones,
      taint: unite(a.taint, b.taint),
      ...passing(a, b.zeros, b, a.zeros),
    };
  }
  const isAnd = op === 'and';
  const [aBlocks, bBlocks] = isAnd ? [a.zeros, b.zeros] : [a.ones, b.ones];
  const [aPasses, bPasses] = isAnd ? [a.ones, b.ones] : [a.zeros, b.zeros];
  const bothSame = a.sameAt === b.sameAt ? a.sameMask & b.sameMask : 0n;
  const copy = passing(a, bPasses, b, aPasses);
  return {
    width,
    zeros: isAnd ? a.zeros | b.zeros : a.zeros & b.zeros,
    ones: isAnd ? a.ones & b.ones : a.ones | b.ones,
    taint: unite(
      mapTaint(a.taint, (bits) => bits & ~bBlocks),
      mapTaint(b.taint, (bits) => bits & ~aBlocks),
    ),
    sameAt: copy.sameAt,
    sameMask: copy.sameMask | bothSame,
  };
}

function shift(op: 'shl' | 'shr_u' | 'shr_s', a: Abstract, by: bigint): Abstract {
  const { width } = a;
  const mask = maskOf(width);
  const move = (bits: bigint): bigint => {
    if (op === 'shl') return (bits << by) & mask;
    return op === 'shr_u' ? bits >> by : BigInt.asUintN(width, BigInt.asIntN(width, bits) >> by);
  };
  const filled = op === 'shl' ? maskOf(Number(by)) & mask : op === 'shr_u' ? mask & ~(mask >> by) : 0n;
  return {
    width,
    zeros: move(a.zeros) | filled,
    ones: move(a.ones),
    taint: mapTaint(a.taint, move),
    sameAt: NOWHERE,
    sameMask: 0n,
  };
}

function resize(how: string, to: Type, a: Abstract): Abstract {
  const width = WIDTH[to];
  const mask = maskOf(width);
  if (how === 'sext') {
    const extend = (bits: bigint): bigint => BigInt.asUintN(width, BigInt.asIntN(a.width, bits));
    return { ...a, width, zeros: extend(a.zeros), ones: extend(a.ones), taint: mapTaint(a.taint, extend) };
  }
  const above = width > a.width ? mask & ~maskOf(a.width) : 0n;
  return {
    width,
    zeros: (a.zeros & mask) | above,
    ones: a.ones & mask,
    taint: mapTaint(a.taint, (bits) => bits & mask),
    sameAt: a.sameAt,
    sameMask: a.sameMask & mask,
  };
}

function arithmetic(a: Abstract, b: Abstract, op: 'add' | 'sub' | 'mul'): Abstract {
  const { width } = a;
  const decided = (a.zeros | a.ones) & (b.zeros | b.ones);
  const open = maskOf(width) & ~decided;
  const exact = open === 0n ? maskOf(width) : lowest(open) - 1n;
  const [x, y] = [a.ones & exact, b.ones & exact];
  const low = (op === 'add' ? x + y : op === 'sub' ? x - y : x * y) & exact;
  const taint = mapTaint(unite(a.taint, b.taint), (bits) => upwards(width, bits));
  return { width, zeros: exact & ~low, ones: low, taint, sameAt: NOWHERE, sameMask: 0n };
}

/** Least and greatest unsigned value. */
const rangeOf = (v: Abstract): readonly [bigint, bigint] => [v.ones, maskOf(v.width) & ~v.zeros];

/** A comparison's outcome where the known bits decide it. */
function decide(op: string, a: Abstract, b: Abstract): boolean | undefined {
  const differs = (a.ones & b.zeros) !== 0n || (a.zeros & b.ones) !== 0n;
  const [aLow, aHigh] = rangeOf(a);
  const [bLow, bHigh] = rangeOf(b);
  switch (op) {
    case 'eq':
      return differs ? false : undefined;
    case 'ne':
      return differs ? true : undefined;
    case 'lt_u':
      return aHigh < bLow ? true : aLow >= bHigh ? false : undefined;
    case 'le_u':
      return aHigh <= bLow ? true : aLow > bHigh ? false : undefined;
    default:
      return undefined;
  }
}

const COMPARISONS = new Set(['eq', 'ne', 'lt_u', 'le_u', 'lt_s', 'le_s']);

function undecided(node: OpNode, args: readonly Abstract[]): Abstract {
  const [a, b] = args;
  const width = WIDTH[node.type];
  const { op } = node;
  switch (op) {
    case 'and':
    case 'or':
    case 'xor':
      return bitwise(op, a, b);
    case 'add':
    case 'sub':
    case 'mul':
      return arithmetic(a, b, op);
    case 'shl':
    case 'shr_u':
    case 'shr_s': {
      const by = constantOf(b);
      const wrap = a.width === 64 ? 63n : 31n;
      return by === undefined ? unknown(width, spread(width, args)) : shift(op, a, by & wrap);
    }
    case 'select':
      return join(b, args[2], a.taint);
  }
  const [how, to] = op.split('.');
  if (how === 'trunc' || how === 'zext' || how === 'sext') return resize(how, to as Type, a);
  if (COMPARISONS.has(op)) {
    const outcome = decide(op, a, b);
    if (outcome !== undefined) return known(1, outcome ? 1n : 0n);
  }
  return unknown(width, spread(width, args));
}

/** The result of a pure operation. */
export function transfer(node: OpNode, args: readonly Abstract[]): Abstract {
  if (node.op === 'select') {
    const condition = constantOf(args[0]);
    if (condition !== undefined) return condition === 1n ? args[1] : args[2];
  }
  const constants = args.map(constantOf);
  if (constants.every((c) => c !== undefined) && args.every((a) => a.taint.size === 0)) {
    const type = node.op === 'select' ? node.type : node.args[0].type;
    const value = fold(node, constants, type);
    if (value !== undefined) {
      const result = known(WIDTH[node.type], value);
      // A constant may still be a copy of state: of bits that the mode decides.
      const copy = args.length > 1 ? undecided(node, args) : result;
      return copy.sameAt === NOWHERE ? result : { ...result, sameAt: copy.sameAt, sameMask: copy.sameMask };
    }
  }
  return clean(undecided(node, args));
}

/** Undefined where the operation has no value, such as a division by zero on a path that is not taken. */
function fold(node: OpNode, args: readonly bigint[], type: Type): bigint | undefined {
  try {
    return OPS[node.op].evaluate(args, type, node.immediate);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** What a condition depends on, as a taint of whatever it controls. */
export const conditionTaint = (condition: Abstract): Taint =>
  condition.taint.size === 0 ? UNTAINTED : mapTaint(condition.taint, () => 1n);
