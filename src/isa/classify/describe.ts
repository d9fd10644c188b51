/** Conditions of the IR in words, for reasons that a reader can follow. */
import type { Value } from '../ir/types.ts';
import { WIDTH } from '../ir/types.ts';
import type { StateMap } from './model.ts';

/** How a parameter of a procedure was computed by its caller. */
export type ParameterNode = (index: number) => Value | undefined;

const SYMBOLS: Readonly<Record<string, string>> = {
  eq: '=',
  ne: '≠',
  lt_u: '<',
  le_u: '≤',
  lt_s: '<',
  le_s: '≤',
  and: '&',
  or: '|',
  xor: 'xor',
  add: '+',
  sub: '-',
  shl: '<<',
  shr_u: '>>',
};
const OPPOSITES: Readonly<Record<string, string>> = { eq: '≠', ne: '=', lt_u: '≥', le_u: '>', lt_s: '≥', le_s: '>' };
const DEEPEST = 7;

/** Names of the bits of `state` that `mask` picks. */
function bitNames(states: StateMap, offset: number, width: number, mask: bigint): string {
  const parts = states.at(offset, width / 8).filter((p) => (p.mask & mask) !== 0n);
  return parts.map((p) => p.source.name).join(', ');
}

/** An expression, with names for state and its bits. */
export function describe(states: StateMap, v: Value, parameter: ParameterNode, depth = 0): string {
  if (depth > DEEPEST) return '…';
  const sub = (w: Value): string => describe(states, w, parameter, depth + 1);
  switch (v.kind) {
    case 'const':
      return v.value < 10n ? `${v.value}` : `0x${v.value.toString(16)}`;
    case 'get':
      return bitNames(states, v.state.offset, WIDTH[v.type], ~0n);
    case 'getAt':
      return v.at.kind === 'const'
        ? bitNames(states, v.file.offset + Number(v.at.value), WIDTH[v.type], ~0n)
        : `a register of ${v.file.name}`;
    case 'field':
      return `the operand's ${v.name}`;
    case 'parameter': {
      const outer = parameter(v.index);
      return outer === undefined ? 'an argument' : describe(states, outer, () => undefined, depth + 1);
    }
    case 'load':
      return v.access === 'supervisor' ? "a word of the processor's tables" : 'a word of memory';
    case 'result':
      return `what ${v.call.target.name} finds`;
    case 'op':
      return operation(states, v, sub);
    default:
      return 'a value';
  }
}

type OpValue = Extract<Value, { kind: 'op' }>;

function operation(states: StateMap, v: OpValue, sub: (w: Value) => string): string {
  const [a, b] = v.args;
  const [how] = v.op.split('.');
  if (how === 'trunc' || how === 'zext' || how === 'sext') return sub(a);
  const bits = v.op === 'and' ? maskedBits(states, a, b) : undefined;
  if (bits !== undefined) return bits;
  // A truth value flipped.
  if (v.op === 'xor' && v.type === 'i1' && b.kind === 'const' && b.value === 1n) {
    if (a.kind === 'op' && a.op in OPPOSITES) return `${sub(a.args[0])} ${OPPOSITES[a.op]} ${sub(a.args[1])}`;
    return `not (${sub(a)})`;
  }
  if (v.op === 'select') return `(${sub(a)} ? ${sub(b)} : ${sub(v.args[2])})`;
  const word = v.type === 'i1' ? { and: 'and', or: 'or' }[v.op] : undefined;
  const symbol = word ?? SYMBOLS[v.op];
  if (symbol === undefined || b === undefined) return `${v.op}(${v.args.map(sub).join(', ')})`;
  const text = `${sub(a)} ${symbol} ${sub(b)}`;
  return word === undefined && v.type !== 'i1' ? `(${text})` : text;
}

/** `state & mask` and `(state >> n) & mask` by the names of the bits. */
function maskedBits(states: StateMap, a: Value, mask: Value): string | undefined {
  if (mask.kind !== 'const') return undefined;
  const isShift = a.kind === 'op' && a.op === 'shr_u' && a.args[1].kind === 'const';
  const by = isShift && a.args[1].kind === 'const' ? a.args[1].value : 0n;
  const state = isShift ? a.args[0] : a;
  if (state.kind === 'get') return bitNames(states, state.state.offset, WIDTH[state.type], mask.value << by);
  if (state.kind === 'getAt' && state.at.kind === 'const')
    return bitNames(states, state.file.offset + Number(state.at.value), WIDTH[state.type], mask.value << by);
  return undefined;
}
