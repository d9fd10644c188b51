import assert from 'node:assert/strict';
import { test } from 'node:test';
import { X86_NAMES, x86Architecture } from '../../src/isa/classify/x86/architectures.ts';
import type { State } from '../../src/isa/ir/types.ts';
import { instruction } from '../../src/isa/x86/definition.ts';
import { CPL, CR3, GDTR_BASE } from '../../src/isa/x86/state.ts';
import { SensitivityCheck } from './sensitivity-check.ts';

const EVALUATIONS = 12_000;

for (const name of X86_NAMES) {
  test(`random states agree with the verdicts on ${name}`, () => {
    const report = new SensitivityCheck(x86Architecture(name)!, 1).run(EVALUATIONS);
    assert.deepEqual(
      report.disagreements.map((d) => `${d.verdict.name} ${d.verdict.case}: ${d.problem}`),
      [],
    );
    assert.ok(report.completed > report.evaluations / 2);
  });
}

/** A register declared with a class that is not its own: what the classifier then believes is wrong. */
const disguised = (state: State): State => ({ ...state, class: 'user' });
/** Judged innocuous, though each shows or changes what belongs to the system. */
const WRONG = [
  ...instruction({ name: 'SHOWS', rows: ['0F 0B'], semantics: (x) => x.setRegister(0, x.get(disguised(GDTR_BASE))) }),
  ...instruction({ name: 'CHANGES', rows: ['0F 0B'], semantics: (x) => x.set(disguised(CR3), x.register(0, 'i64')) }),
  ...instruction({
    name: 'LEVEL',
    rows: ['0F 0B'],
    semantics: (x) => x.setRegister(0, x.add(x.register(0, 'i32'), x.get(disguised(CPL)))),
  }),
];

test('a definition that touches system state in disguise is caught', () => {
  const report = new SensitivityCheck(x86Architecture('x86-32', WRONG)!, 1).run(500);
  const caught = new Map(report.disagreements.map((d) => [d.verdict.name, d.problem]));
  assert.match(caught.get('SHOWS') ?? '', /RAX depends on system state/);
  assert.match(caught.get('CHANGES') ?? '', /changes CR3/);
  assert.match(
    caught.get('LEVEL') ?? '',
    /RAX depends on system state \((user and supervisor|supervisor and user) mode\)/,
  );
});

test('a definition without its guard is caught', () => {
  // Privileged by declaration of a state that never says “user”: evaluation completes where the verdict says it traps.
  const alwaysThree: State = { ...CPL, name: 'LEVEL', class: 'mode' };
  const guarded = instruction({
    name: 'GUARDED',
    rows: ['0F 0B'],
    semantics: (x) => {
      x.if(x.ne(x.get(alwaysThree), 0), () => x.raise(13, 0));
      x.set(CR3, x.register(0, 'i64'));
    },
  });
  const architecture = x86Architecture('x86-32', guarded)!;
  const honest = new SensitivityCheck(architecture, 1).run(200);
  assert.deepEqual(honest.disagreements, []);
  // The same verdict, but user mode as the classifier saw it is not the user mode that runs.
  const { contexts } = architecture;
  let asked = 0;
  const lying = {
    ...architecture,
    get contexts() {
      return asked++ === 0 ? contexts : { ...contexts, user: contexts.supervisor };
    },
  };
  const report = new SensitivityCheck(lying, 1).run(200);
  assert.match(report.disagreements[0]?.problem ?? '', /completes in user mode and should trap/);
});
