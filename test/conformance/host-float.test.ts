/**
 * SSE arithmetic where the engines use the host's vector operations: PE set, exceptions masked, rounding to nearest, mostly numbers that
 * raise nothing else, with some at every edge among them.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { ENCODINGS } from '../../src/isa/x86/instruction-set.ts';
import { SSE_FLOAT } from '../../src/isa/x86/instructions/sse-float.ts';
import { type GeneratedCase, generateCase } from './case-generator.ts';
import { differences, NOTHING_UNKNOWN } from './cpu-compare.ts';
import { EmulatedRunner, GUEST_RAM } from './emulated-run.ts';
import { engines } from './engines.ts';
import { NativeRunner, nativeUnavailable } from './native-run.ts';
import { Random } from './random.ts';
import { shortRunSeed } from './seed.ts';

const CASES = 400;
/** Approximations have a test of their own; the others end in values that are read again as something else. */
const LEFT_OUT = /^(RCP|RSQRT|LDMXCSR)/;
const HOST_MXCSR = 0x1fa0;
const MXCSR_AT = 24;
const XMM_AT = 160;

const unavailable = nativeUnavailable();
const skip = unavailable === undefined ? false : `SKIPPED: ${unavailable}`;

/** How far from 1 the numbers of a case are: products of several leave the range of what needs no look. */
const SPREADS = { f32: [20, 20, 45, 60], f64: [20, 20, 130, 500] } as const;

/** A number of moderate size in one of the formats, now and then one that is special for both. */
function writeNumber(random: Random, view: DataView, at: number, format: 'f32' | 'f64', spread: number): void {
  const exponent = random.below(2 * spread) - spread;
  const magnitude = 2 ** exponent * (1 + random.u32() / 2 ** 32);
  const value = random.chance(0.5) ? -magnitude : magnitude;
  const whole = random.chance(0.2) ? Math.round(value) : value;
  if (format === 'f32') view.setFloat32(at, whole, true);
  else view.setFloat64(at, whole, true);
  if (!random.chance(0.04)) return;
  // Zeros, infinities, NaNs, denormal numbers, the ends of the range.
  const top = random.pick([0, 0x8000, 0x7ff0, 0x7f80, 0x7ff8, 0x7f90, 1, 0x10, 0x80, 0x7fe0, 0x7f00, 0x20, 0x100]);
  const last = format === 'f32' ? at + 2 : at + 6;
  for (let i = at; i < last; i++) view.setUint8(i, random.chance(0.5) ? 0 : random.below(256));
  view.setUint16(last, top, true);
}

function makeOrdinary(random: Random, c: GeneratedCase): GeneratedCase {
  const fx = new DataView(c.fx.buffer, c.fx.byteOffset);
  const modes = (random.chance(0.1) ? 0x40 : 0) | (random.chance(0.1) ? 0x8000 : 0);
  // Any other mode too, with some exceptions not masked and any flags set.
  fx.setUint32(MXCSR_AT, random.chance(0.2) ? random.below(0x1_0000) : HOST_MXCSR | modes, true);
  const kind = random.below(SPREADS.f32.length);
  for (const [view, from, to] of [
    [fx, XMM_AT, XMM_AT + (c.mode === 64 ? 256 : 128)],
    [new DataView(c.scratch.buffer, c.scratch.byteOffset), 0, c.scratch.length],
  ] as const) {
    for (let at = from; at < to; at += 16) {
      const format = random.chance(0.5) ? 'f32' : 'f64';
      const spread = SPREADS[format][kind];
      for (let i = 0; i < 16; i += format === 'f32' ? 4 : 8) writeNumber(random, view, at + i, format, spread);
    }
  }
  return c;
}

describe('SSE arithmetic by the host', { skip }, () => {
  const seed = shortRunSeed();
  const rows = SSE_FLOAT.filter((e) => !LEFT_OUT.test(e.definition.name) && ENCODINGS.includes(e));
  const native = new NativeRunner();
  after(() => native.close());

  for (const [name, make] of Object.entries({ reference: engines.reference, ...engines.compared })) {
    it(`is what the processor computes, on ${name}`, (t) => {
      t.diagnostic(`seed ${seed}`);
      const random = new Random(seed);
      const runner = new EmulatedRunner(make(GUEST_RAM));
      const cases = Array.from({ length: CASES }, () => makeOrdinary(random, generateCase(random, rows)));
      for (const [i, theirs] of native.run(cases).entries()) {
        runner.load(cases[i]);
        const found = [...differences(cases[i], runner.finish(), theirs, NOTHING_UNKNOWN)];
        const code = Buffer.from(cases[i].code.subarray(0, 80)).toString('hex');
        assert.deepEqual(found, [], `seed ${seed}, case ${i}, ${code}`);
      }
    });
  }
});
