/** x87 arithmetic, loads and stores on the short ways: exceptions masked, 64 bits of precision, rounding to nearest, mostly normal numbers. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { ENCODINGS } from '../../src/isa/x86/instruction-set.ts';
import { type GeneratedCase, generateCase } from './case-generator.ts';
import { differences, NOTHING_UNKNOWN } from './cpu-compare.ts';
import { EmulatedRunner, GUEST_RAM } from './emulated-run.ts';
import { engines } from './engines.ts';
import { NativeRunner, nativeUnavailable } from './native-run.ts';
import { Random } from './random.ts';
import { shortRunSeed } from './seed.ts';

const CASES = 400;
const NAMES =
  /^(FLD|FST|FSTP|FILD|FISTT?P?|FI?(ADD|SUB|SUBR|MUL|DIV|DIVR)P?|FSQRT|FXCH|FCHS|FABS|FLD1|FLDPI|FU?COMI?P?P?|FTST|FRNDINT)$/;
const FCW_USUAL = 0x37f;
const BIAS = 16383;
const ST_AT = 32;

const unavailable = nativeUnavailable();
const skip = unavailable === undefined ? false : `SKIPPED: ${unavailable}`;

/** Exponents near one, now and then near the ends of the range of binary32 or binary64. */
function writeRegister(random: Random, view: DataView, at: number): void {
  const far = random.chance(0.1) ? random.pick([-1074, -1022, -149, -126, 127, 1023]) : 0;
  const sign = random.chance(0.5) ? 0x8000 : 0;
  view.setUint16(at + 8, sign | (BIAS + far + random.below(20) - 10), true);
  const low = random.chance(0.5) ? 0n : BigInt(random.u32());
  view.setBigUint64(at, (1n << 63n) | (BigInt(random.u32()) << 32n) | low, true);
}

function makeUsual(random: Random, c: GeneratedCase): GeneratedCase {
  const fx = new DataView(c.fx.buffer, c.fx.byteOffset);
  fx.setUint16(0, FCW_USUAL, true);
  fx.setUint16(2, random.below(8) << 11, true);
  c.fx[4] = 0xff >> random.below(6);
  for (let i = 0; i < 8; i++) if (random.chance(0.9)) writeRegister(random, fx, ST_AT + 16 * i);
  const memory = new DataView(c.scratch.buffer, c.scratch.byteOffset);
  for (let at = 0; at < c.scratch.length; at += 8) {
    if (random.chance(0.2)) continue;
    const value = ((random.below(1000) - 500) / 8) * (random.chance(0.3) ? Math.PI : 1);
    if (random.chance(0.5)) memory.setFloat64(at, value, true);
    else for (const i of [0, 4]) memory.setFloat32(at + i, value / (i + 1), true);
  }
  return c;
}

describe('usual x87 code', { skip }, () => {
  const seed = shortRunSeed();
  const rows = ENCODINGS.filter((e) => NAMES.test(e.definition.name));
  const native = new NativeRunner();
  after(() => native.close());

  for (const [name, make] of Object.entries({ reference: engines.reference, ...engines.compared })) {
    it(`computes what the processor computes, on ${name}`, (t) => {
      t.diagnostic(`seed ${seed}`);
      const random = new Random(seed);
      const runner = new EmulatedRunner(make(GUEST_RAM));
      const cases = Array.from({ length: CASES }, () => makeUsual(random, generateCase(random, rows)));
      for (const [i, theirs] of native.run(cases).entries()) {
        runner.load(cases[i]);
        const found = [...differences(cases[i], runner.finish(), theirs, NOTHING_UNKNOWN)];
        const code = Buffer.from(cases[i].code.subarray(0, 80)).toString('hex');
        assert.deepEqual(found, [], `seed ${seed}, case ${i}, ${code}`);
      }
    });
  }
});
