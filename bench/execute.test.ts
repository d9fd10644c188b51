import assert from 'node:assert/strict';
import process from 'node:process';
import test from 'node:test';
import { execute } from './execute.ts';

const script = (text: string) => ({ file: process.execPath, arguments: ['-e', text] });

test('a run ends when it has printed what was waited for', async () => {
  const run = await execute(script("console.log('a prompt'); setInterval(() => {}, 1000)"), { until: 'prompt' });
  assert.equal(run.failure, undefined);
  assert.match(run.output, /a prompt/);
});

test('a run that fails keeps what it printed', async () => {
  const { output, failure } = await execute(script("console.log('BENCH x'); process.exitCode = 3"));
  assert.deepEqual({ output, failure }, { output: 'BENCH x\n', failure: 'ended with 3' });
});

test('a run that ends without what was waited for has failed', async () => {
  const { failure } = await execute(script(''), { until: 'prompt' });
  assert.equal(failure, "ended (0) before it printed 'prompt'");
});

test('a command that is not there is told of', async () => {
  const { failure } = await execute({ file: '/nowhere/qemu', arguments: [] });
  assert.match(String(failure), /cannot be started/);
});
