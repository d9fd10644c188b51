/** Instructions whose results processors approximate each in its own way: near to what the host's gives, and the same where exact. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { ENCODINGS } from '../../src/isa/x86/instruction-set.ts';
import { type GeneratedCase, generateCase } from './case-generator.ts';
import type { Outcome } from './cpu-case.ts';
import { EmulatedRunner, GUEST_RAM } from './emulated-run.ts';
import { engines } from './engines.ts';
import { NativeRunner, nativeUnavailable } from './native-run.ts';
import { Random } from './random.ts';
import { shortRunSeed } from './seed.ts';

const CASES = 120;
/** Of two approximations, each at most 1.5 × 2^-12 from the truth (SDM vol. 2, RCPPS). */
const RECIPROCAL_ERROR = 3 * 2 ** -12;
/** Units in the last place: the manuals promise 1 for each (SDM vol. 1 §8.3.10). */
const ULPS = 2n;
const BREAKPOINT = 3;
/** IE, DE, ZE, SF, ES, C2, TOP, B: not C1 nor PE, which tell of rounding, nor OE and UE, which depend on it. */
const STATUS_MASK = 0b1011_1100_1100_0111;

const unavailable = nativeUnavailable();
const skip = unavailable === undefined ? false : `SKIPPED: ${unavailable}`;

/** The smallest number that is not denormal: results below become zero, and each processor has its own edge. */
const TINY = 2 ** -126;

function isClose(a: number, b: number): boolean {
  if (Math.abs(a) <= TINY && Math.abs(b) <= TINY) return true;
  return Object.is(a, b) || (Number.isNaN(a) && Number.isNaN(b)) || Math.abs(a - b) <= Math.abs(b) * RECIPROCAL_ERROR;
}

/** Every lane of every XMM register. */
function* reciprocalDifferences(ours: Outcome, theirs: Outcome): Generator<string> {
  const [a, b] = [ours, theirs].map(({ fx }) => new DataView(fx.buffer, fx.byteOffset));
  for (let at = 160; at < 416; at += 4) {
    const [x, y] = [a.getFloat32(at, true), b.getFloat32(at, true)];
    if (a.getUint32(at, true) !== b.getUint32(at, true) && !isClose(x, y)) yield `byte ${at}: ${x}, not ${y}`;
  }
}

/** The extended number at ST(i) as an integer that is continuous in its value. */
function ordinal({ fx }: Outcome, i: number): bigint {
  const view = new DataView(fx.buffer, fx.byteOffset + 32 + 16 * i);
  const se = view.getUint16(8, true);
  const magnitude = (BigInt(se & 0x7fff) << 63n) | (view.getBigUint64(0, true) & ((1n << 63n) - 1n));
  return se & 0x8000 ? -magnitude : magnitude;
}

function* x87Differences(ours: Outcome, theirs: Outcome): Generator<string> {
  const status = ({ fx }: Outcome): number => (fx[2] | (fx[3] << 8)) & STATUS_MASK;
  if (status(ours) !== status(theirs)) yield `FSW ${status(ours).toString(16)}, not ${status(theirs).toString(16)}`;
  for (let i = 0; i < 8; i++) {
    const distance = ordinal(ours, i) - ordinal(theirs, i);
    if (distance > ULPS || distance < -ULPS) yield `ST${i} is ${distance} units away`;
  }
}

const X87 = ['FSIN', 'FCOS', 'FSINCOS', 'FPTAN', 'FPATAN', 'F2XM1', 'FYL2X', 'FYL2XP1'];
const SSE = ['RCPPS', 'RCPSS', 'RSQRTPS', 'RSQRTSS'];

/** Exponents of ST0 from which the result is undefined (SDM vol. 2): |x| < 1, and |x| < 1 - sqrt(1/2). */
const DOMAIN_END: Readonly<Record<string, number>> = { F2XM1: 0x3fff, FYL2XP1: 0x3ffd };
const SPECIAL = 0x7fff;

function isInDomain(name: string, { fx }: GeneratedCase): boolean {
  const end = DOMAIN_END[name];
  const exponent = (fx[40] | (fx[41] << 8)) & SPECIAL;
  const isNan = exponent === SPECIAL && fx.subarray(32, 40).some((byte, i) => byte !== (i === 7 ? 0x80 : 0));
  return end === undefined || exponent < end || isNan;
}

/** The case with one instruction, and exceptions masked: an unmasked one depends on how the result is rounded. */
function single(random: Random, name: string): GeneratedCase {
  const rows = ENCODINGS.filter((e) => e.definition.name === name);
  for (;;) {
    const c = generateCase(random, rows);
    if (c.instructions.length > 1 || !isInDomain(name, c)) continue;
    c.fx[0] |= 0x3f;
    c.fx[2] = 0;
    c.fx[3] &= 0x7f;
    return c;
  }
}

describe('approximations', { skip }, () => {
  const native = new NativeRunner();
  const runner = new EmulatedRunner(engines.reference(GUEST_RAM));
  const seed = shortRunSeed();
  after(() => native.close());

  for (const name of [...X87, ...SSE]) {
    it(`${name} is as near as the manual promises`, (t) => {
      t.diagnostic(`seed ${seed}`);
      const random = new Random(seed);
      const cases = Array.from({ length: CASES }, () => single(random, name));
      const differences = SSE.includes(name) ? reciprocalDifferences : x87Differences;
      for (const [i, theirs] of native.run(cases).entries()) {
        runner.load(cases[i]);
        const ours = runner.finish();
        assert.equal(ours.vector, theirs.vector);
        if (theirs.vector !== BREAKPOINT) continue;
        const input = Buffer.from(cases[i].fx.subarray(0, 64)).toString('hex');
        assert.deepEqual([...differences(ours, theirs)], [], `seed ${seed}, case ${i}, ${input}`);
      }
    });
  }
});
