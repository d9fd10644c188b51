/** CRC32 of SSE4.2: CRC-32C (SDM vol. 2, CRC32). */
import type { IntegerType, Procedure, Value } from '../../ir/types.ts';
import { type Encoding, instruction } from '../definition.ts';
import { type X86Builder, x86Procedure } from '../x86-builder.ts';
import { lanes } from './sse-common.ts';

/** The polynomial 11EDC6F41H with its bits reversed. */
const POLYNOMIAL = 0x82f63b78;

/** The remainder that a single bit leaves after `steps` steps. */
function remainder(bit: number, steps: number): number {
  let value = (1 << bit) >>> 0;
  for (let i = 0; i < steps; i++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  return value >>> 0;
}

/** Remainders add up (modulo 2) over the bits of `value` (`i32`), of which the low `width` may be set: four at a time. */
function reduceBits(x: X86Builder, value: Value, width: 8 | 16 | 32): Value {
  const copies = x.op('i32x4.splat', [value]);
  let sum = x.const('i128', 0);
  for (let first = 0; first < width; first += 4) {
    const bits = [0, 1, 2, 3].map((i) => first + i);
    const each = lanes(
      x,
      32,
      bits.map((bit) => 2 ** bit),
    );
    const chosen = x.op('i32x4.eq', [x.op('v128.and', [copies, each]), each]);
    const remainders = lanes(
      x,
      32,
      bits.map((bit) => remainder(bit, width)),
    );
    sum = x.op('v128.xor', [sum, x.op('v128.and', [chosen, remainders])]);
  }
  const [a, b, c, d] = [0, 1, 2, 3].map((lane) => x.op('i32x4.extract', [sum], [lane]));
  return x.xor(x.xor(a, b), x.xor(c, d));
}

/** The new CRC (`i32`) from the old one and as many low bits of data (`i32`) as the name says. */
function step(width: 8 | 16 | 32): Procedure {
  return x86Procedure({ name: `crc32c${width}`, parameters: ['i32', 'i32'], results: ['i32'] }, (x, crc, data) => {
    const mixed = x.xor(crc, data);
    if (width === 32) {
      x.return(reduceBits(x, mixed, width));
      return;
    }
    x.return(x.xor(x.shrU(crc, width), reduceBits(x, x.and(mixed, 2 ** width - 1), width)));
  });
}
const STEP = { i8: step(8), i16: step(16), i32: step(32) };

function crc32(x: X86Builder, crc: Value, data: Value): Value {
  const type = data.type as IntegerType;
  if (type === 'i64') return crc32(x, crc32(x, crc, x.trunc(data, 'i32')), x.trunc(x.shrU(data, 32), 'i32'));
  return x.call(STEP[type], crc, x.zext(data, 'i32'))[0];
}

export const CRC: readonly Encoding[] = instruction({
  name: 'CRC32',
  rows: ['F2 0F 38 F0 /r | Gy,Eb', 'F2 0F 38 F1 /r | Gy,Ev'],
  semantics: (x, dst, src) => {
    const data = src.get();
    // The upper half of a 64-bit destination becomes zero.
    dst.set(x.zext(crc32(x, x.trunc(dst.get(), 'i32'), data), dst.type as IntegerType));
  },
});
