import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ENCODINGS } from '../../src/isa/x86/instruction-set.ts';
import { COMPARED } from './case-generator.ts';
import { CpuCheck, type CpuReport } from './cpu-check.ts';
import { exclusion } from './cpu-exclusions.ts';
import { nativeUnavailable } from './native-run.ts';
import { shortRunSeed } from './seed.ts';

const CASES = 3000;
const unavailable = nativeUnavailable();
const skip = unavailable === undefined ? false : `SKIPPED, the processor is not compared: ${unavailable}`;

describe("the engines and the host's own processor", { skip }, () => {
  const seed = shortRunSeed();
  let check: CpuCheck;
  let report: CpuReport;
  before(() => {
    check = new CpuCheck();
    report = check.run(CASES, seed, { maxFailures: 5 });
  });
  after(() => check.close());

  it('agree on random instructions', (t) => {
    t.diagnostic(`seed ${seed}, ${report.rows} rows, ${report.skipped} of ${CASES} cases left out`);
    const texts = report.failures.map(({ number, engine, text }) => `case ${number}, ${engine}:\n${text}`);
    assert.equal(texts.length, 0, `seed ${seed}\n${texts.join('\n')}`);
  });

  it('leave out few cases, and reach their ends mostly', () => {
    assert.ok(report.skipped < CASES / 50);
    assert.ok((report.vectors.get(3) ?? 0) > CASES / 2);
  });
});

it('every row is compared or has a reason not to be', () => {
  const forgotten = ENCODINGS.filter((e) => !COMPARED.has(e) && exclusion(e) === undefined);
  assert.deepEqual(
    forgotten.map((e) => e.row),
    [],
  );
});
