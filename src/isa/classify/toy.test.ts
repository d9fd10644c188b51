import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, mnemonics } from './theorems.ts';
import { type TOY_NAMES, toyArchitecture } from './toy.ts';
import { classify, classOf } from './verdict.ts';

const theoremsOf = (name: (typeof TOY_NAMES)[number]) => {
  const verdicts = classify(toyArchitecture(name));
  return Object.fromEntries((['1', '2', '3'] as const).map((n) => [n, check(n, verdicts)]));
};

test('a machine whose sensitive instructions are privileged satisfies all theorems', () => {
  const theorems = theoremsOf('toy');
  for (const n of ['1', '2', '3']) assert.deepEqual(mnemonics(theorems[n].offenders), []);
  const classes = new Map(classify(toyArchitecture('toy')).map((v) => [v.name, classOf(v)]));
  for (const name of ['LOAD', 'STORE', 'ADD', 'JUMP', 'JZ']) assert.equal(classes.get(name), 'innocuous', name);
  for (const name of ['LPSW', 'LRB', 'SRB', 'SIO', 'HALT'])
    assert.equal(classes.get(name), 'sensitive, privileged', name);
  assert.equal(classes.get('SVC'), 'undefined');
});

test('JRST 1 forbids an efficient monitor but not a hybrid one', () => {
  const theorems = theoremsOf('toy-jrst');
  assert.deepEqual(mnemonics(theorems['1'].offenders), ['JRST1']);
  assert.deepEqual(mnemonics(theorems['2'].offenders), ['JRST1']);
  assert.equal(theorems['3'].holds, true);
});

test('an instruction that shows relocation in user mode forbids both', () => {
  const theorems = theoremsOf('toy-lra');
  for (const n of ['1', '2', '3']) assert.deepEqual(mnemonics(theorems[n].offenders), ['LRA']);
});
