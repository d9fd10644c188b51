import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { VECTOR_FLOAT_OPS } from '../../isa/ir/vector-float-ops.ts';
import { VECTOR_OPS } from '../../isa/ir/vector-ops.ts';
import { VECTOR_OPCODES } from './vector-opcodes.ts';

type Machine = 'v128' | 'i32' | 'i64' | 'f32' | 'f64';

const OPS = { ...VECTOR_OPS, ...VECTOR_FLOAT_OPS };

interface Signature {
  readonly args: readonly Machine[];
  readonly result: Machine;
  readonly immediate: fc.Arbitrary<number[]>;
}

const UNARY =
  /\.(neg|abs|not|all_true|any_true|bitmask|extend_\w+|extadd_\w+|sqrt|nearest|convert_\w+|promote_\w+|demote_\w+|trunc_\w+)$/;

const SCALAR: Readonly<Record<string, Machine>> = { i64x2: 'i64', f32x4: 'f32', f64x2: 'f64' };

function signatureOf(op: string): Signature {
  const [shape, name] = op.split('.');
  const scalar = SCALAR[shape] ?? 'i32';
  const lane = fc.nat({ max: Number(shape.split('x')[1] ?? 1) - 1 }).map((n) => [n]);
  const immediate = fc.constant<number[]>([]);
  const result = /bitmask|_true/.test(name) ? 'i32' : 'v128';
  switch (name) {
    case 'splat':
      return { args: [scalar], result, immediate };
    case 'extract':
      return { args: ['v128'], result: scalar, immediate: lane };
    case 'replace':
      return { args: ['v128', scalar], result, immediate: lane };
    case 'shl':
    case 'shr_s':
    case 'shr_u':
      return { args: ['v128', 'i32'], result, immediate };
    case 'bitselect':
      return { args: ['v128', 'v128', 'v128'], result, immediate };
    case 'shuffle':
      return {
        args: ['v128', 'v128'],
        result,
        immediate: fc.array(fc.nat({ max: 31 }), { minLength: 16, maxLength: 16 }),
      };
    default:
      return { args: UNARY.test(op) ? ['v128'] : ['v128', 'v128'], result, immediate };
  }
}

const section = (id: number, ...body: number[]): number[] => [id, body.length, ...body];
const leb = (n: number): number[] => (n < 0x80 ? [n] : [(n & 0x7f) | 0x80, n >> 7]);
const LOAD: Record<Machine, number[]> = {
  v128: [0xfd, 0x00, 0, 0],
  i32: [0x28, 0, 0],
  i64: [0x29, 0, 0],
  f32: [0x2a, 0, 0],
  f64: [0x2b, 0, 0],
};
const STORE: Record<Machine, number[]> = {
  v128: [0xfd, 0x0b, 0, 0],
  i32: [0x36, 0, 0],
  i64: [0x37, 0, 0],
  f32: [0x38, 0, 0],
  f64: [0x39, 0, 0],
};
const WIDTH: Record<Machine, number> = { v128: 128, i32: 32, i64: 64, f32: 32, f64: 64 };

/** A module whose function applies `op` to what lies at 16, 32, … of its memory and stores the result at 0. */
function compile(op: string, s: Signature, immediate: readonly number[]): { run: () => void; memory: DataView } {
  const args = s.args.flatMap((type, i) => [0x41, (i + 1) * 16, ...LOAD[type]]);
  const code = [0x41, 0, ...args, 0xfd, ...leb(VECTOR_OPCODES[op]), ...immediate, ...STORE[s.result], 0x0b];
  const bytes = [
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, 1, 0x60, 0, 0),
    ...section(3, 1, 0),
    ...section(5, 1, 0, 1),
    ...section(7, 2, 1, 0x66, 0, 0, 1, 0x6d, 2, 0),
    ...section(10, 1, code.length + 1, 0, ...code),
  ];
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes)));
  return { run: exports.f as () => void, memory: new DataView((exports.m as WebAssembly.Memory).buffer) };
}

function execute({ run, memory }: ReturnType<typeof compile>, s: Signature, args: readonly bigint[]): bigint {
  for (const [i, value] of args.entries()) {
    memory.setBigUint64((i + 1) * 16, BigInt.asUintN(64, value), true);
    memory.setBigUint64((i + 1) * 16 + 8, value >> 64n, true);
  }
  memory.setBigUint64(0, 0n, true);
  memory.setBigUint64(8, 0n, true);
  run();
  return memory.getBigUint64(0, true) | (s.result === 'v128' ? memory.getBigUint64(8, true) << 64n : 0n);
}

/** Lanes of floating-point results that are NaNs as one NaN: which, WebAssembly leaves open. */
function anyNan(op: string, value: bigint): bigint {
  const [shape, name] = op.split('.');
  if (!(shape in NAN) || !MAKES_NAN.test(name)) return value;
  const { width, infinity } = NAN[shape];
  let result = value;
  for (let at = 0n; at < 128n; at += width) {
    const lane = BigInt.asUintN(Number(width), value >> at);
    if (BigInt.asUintN(Number(width) - 1, lane) > infinity) result |= BigInt.asUintN(Number(width), -1n) << at;
  }
  return result;
}
const MAKES_NAN = /^(add|sub|mul|div|sqrt|nearest|demote_\w+|promote_\w+)$/;
const NAN: Readonly<Record<string, { width: bigint; infinity: bigint }>> = {
  f32x4: { width: 32n, infinity: 0x7f800000n },
  f64x2: { width: 64n, infinity: 0x7ff0000000000000n },
};

/** Bytes with the edges of every lane width among them. */
const byte = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, 0x0f, 0x10, 0x3f, 0xf0), fc.nat({ max: 255 }));
const bits = (width: number): fc.Arbitrary<bigint> =>
  fc
    .array(byte, { minLength: width / 8, maxLength: width / 8 })
    .map((all) => all.reduce((v, b) => (v << 8n) | BigInt(b), 0n));

test('every vector operation has an opcode and every opcode an operation', () => {
  assert.deepEqual(Object.keys(VECTOR_OPCODES).sort(), Object.keys(OPS).sort());
});

for (const op of Object.keys(OPS)) {
  test(`${op} computes what WebAssembly computes`, () => {
    const s = signatureOf(op);
    const values = fc.array(fc.tuple(...s.args.map((type) => bits(WIDTH[type]))), { minLength: 20, maxLength: 20 });
    fc.assert(
      fc.property(s.immediate, values, (immediate, rows) => {
        const compiled = compile(op, s, immediate);
        for (const args of rows) {
          const ours = OPS[op].evaluate(args, 'i128', immediate);
          assert.equal(anyNan(op, ours), anyNan(op, execute(compiled, s, args)));
        }
      }),
      { numRuns: 20 },
    );
  });
}
