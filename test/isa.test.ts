import assert from 'node:assert/strict';
import { test } from 'node:test';
import { trapeze } from './support/trapeze.ts';

interface Json {
  readonly theorems: Readonly<Record<string, { readonly holds: boolean; readonly offenders: readonly string[] }>>;
  readonly instructions: readonly { readonly name: string; readonly reasons: readonly string[] }[];
}

test('trapeze isa prints text, JSON and a page', async () => {
  const [text, json, page] = await Promise.all([
    trapeze(['isa', 'toy-jrst']),
    trapeze(['isa', 'x86-32-pentium', '--format', 'json']),
    trapeze(['isa', 'x86-64', '--vtx', 'usual', '--format', 'html']),
  ]);
  assert.match(text.stdout, /Theorem 1: fails[\s\S]*Theorem 3: holds/);
  const report = JSON.parse(json.stdout) as Json;
  assert.equal(report.theorems['1'].holds, false);
  assert.equal(report.theorems['1'].offenders.includes('SGDT'), true);
  assert.match(report.instructions.find((i) => i.name === 'SGDT')!.reasons.join(), /GDTR/);
  assert.match(page.stdout, /^<!doctype html>[\s\S]*Root and non-root mode <b>holds<\/b>/);
});

test('trapeze isa explain tells why', async () => {
  const { stdout, code } = await trapeze(['isa', 'explain', 'popf']);
  assert.equal(code, 0);
  assert.match(stdout, /in supervisor mode changes IF and IOPL, which user mode leaves silently/);
});

test('mistakes about architectures, controls and instructions are one line', async () => {
  for (const [words, message] of [
    [['isa', 'vax'], /'vax' is no architecture: choose from x86-32-pentium/],
    [['isa', 'toy', '--vtx', 'usual'], /'toy' has no VMX operation/],
    [['isa', 'x86-64', '--vtx', 'eptt'], /'eptt' is no control: choose from usual/],
    [['isa', 'explain', 'FROB'], /no instruction 'FROB'/],
    [['count', '--kernel', 'x', '--command', 'true'], /leave out --kernel/],
  ] as const) {
    const { stderr, code } = await trapeze([...words]);
    assert.match(stderr, message);
    assert.match(stderr, /^trapeze: [^\n]+\n$/);
    assert.equal(code, 2);
  }
});

test('trapeze count counts a command in the embedded guest', async () => {
  const words = ['count', '--command', 'dd if=/dev/zero of=/dev/null bs=1 count=1000', '--format', 'json'];
  const { stdout, code } = await trapeze(words);
  assert.equal(code, 0);
  const report = JSON.parse(stdout) as {
    kinds: { name: string; level: string; count: number }[];
    estimates: { technique: string; entries: number }[];
  };
  const calls = report.kinds.find((k) => k.name === 'SYSCALL' && k.level === 'user')!.count;
  const returns = report.kinds.find((k) => k.name === 'SYSRET')!.count;
  assert.ok(calls > 2000 && calls < 20_000, `${calls} system calls`);
  assert.ok(Math.abs(calls - returns) < 1000);
  const entries = new Map(report.estimates.map((e) => [e.technique, e.entries]));
  assert.ok(entries.get('VT-x with EPT')! < calls);
});
