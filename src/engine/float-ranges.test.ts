/** Chains of SSE arithmetic whose results leave the range in which regions need not look at them (`sse-ranges.ts`). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dword, ENGINES, FlatGuest } from '../../test/support/flat-guest.ts';

const HLT = 0xf4;
const NUMBERS = 0x4000;
const MXCSR = 0x4080;
const REGISTERS = 8;
const VECTOR = 16;
/** Exceptions masked, rounding to nearest, PE set: the host may compute. */
const HOST_MODE = 0x1fa0;

const FORMATS = {
  f32: { prefixes: [[0xf3], []], exponents: [10, 20, 28, 28, 42, 100], bits: 23, bias: 127 },
  f64: { prefixes: [[0xf2], [0x66]], exponents: [60, 90, 110, 110, 130, 500, 1000], bits: 52, bias: 1023 },
} as const;
type FormatName = keyof typeof FORMATS;

const chain = fc.constantFrom<FormatName>('f32', 'f64').chain((name) => {
  const { prefixes, exponents, bits, bias } = FORMATS[name];
  const number = (around: number): fc.Arbitrary<bigint> =>
    fc
      .tuple(fc.boolean(), fc.nat(20), fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n }), fc.nat(60))
      .map(([negative, more, fraction, zero]) => {
        const magnitude = zero === 0 ? 0n : (BigInt(bias + around + more - 10) << BigInt(bits)) | fraction;
        return magnitude | (negative ? 1n << BigInt(bits === 23 ? 31 : 63) : 0n);
      });
  return fc.tuple(fc.constantFrom(...exponents), fc.boolean()).chain(([distance, large]) =>
    fc.record({
      name: fc.constant(name),
      numbers: fc.array(number(large ? distance : -distance), {
        minLength: (REGISTERS * VECTOR) / (bits === 23 ? 4 : 8),
        maxLength: (REGISTERS * VECTOR) / (bits === 23 ? 4 : 8),
      }),
      // Mostly MUL, also ADD, SUB and DIV, of a scalar or of vectors. Few: flags stay, and each may hide what came before.
      operations: fc.array(
        fc
          .tuple(
            fc.constantFrom(...prefixes),
            fc.constantFrom(...new Array<number>(12).fill(0x59), 0x58, 0x58, 0x5c, 0x5c, 0x5e),
            fc.nat(3),
            fc.nat(3),
          )
          .map(([prefix, opcode, to, from]) => [...prefix, 0x0f, opcode, 0xc0 | (to << 3) | from]),
        { minLength: 1, maxLength: 12 },
      ),
    }),
  );
});

/** MOVUPS of all registers from, or to, memory. */
const moves = (opcode: 0x10 | 0x11): number[] =>
  Array.from({ length: REGISTERS }, (_, i) => [0x0f, opcode, (i << 3) | 5, ...dword(NUMBERS + VECTOR * i)]).flat();

test('chains of arithmetic compute the same, and raise the same flags, translated and by the reference', () => {
  fc.assert(
    fc.property(chain, fc.boolean(), ({ name, numbers, operations }, apart) => {
      const code = [
        ...moves(0x10),
        // LDMXCSR, STMXCSR
        ...[0x0f, 0xae, 0x15, ...dword(MXCSR)],
        // JMP: the operations are a block that finds its numbers in registers.
        ...(apart ? [0xeb, 0] : []),
        ...operations.flat(),
        ...moves(0x11),
        ...[0x0f, 0xae, 0x1d, ...dword(MXCSR)],
        HLT,
      ];
      const bytes = new DataView(new ArrayBuffer(REGISTERS * VECTOR));
      for (const [i, n] of numbers.entries()) {
        if (name === 'f32') bytes.setUint32(4 * i, Number(n), true);
        else bytes.setBigUint64(8 * i, n, true);
      }
      const outcomes = (['reference', 'translator'] as const).map((engine) => {
        const guest = new FlatGuest(ENGINES[engine](), code);
        guest.vcpu.setRegister('CR4', 0x200n);
        guest.write(NUMBERS, [...new Uint8Array(bytes.buffer)]);
        guest.write(MXCSR, dword(HOST_MODE));
        assert.equal(guest.run(), 'halted', engine);
        return [...guest.read(NUMBERS, MXCSR - NUMBERS + 4)];
      });
      assert.deepEqual(outcomes[1], outcomes[0]);
    }),
    { numRuns: 160 },
  );
});
