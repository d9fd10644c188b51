import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Progress } from './progress.ts';

function run(watched: boolean): readonly string[] {
  const lines: string[] = [];
  let ms = 0;
  const progress = new Progress('cpu', 1000, { watched, now: () => ms, print: (line) => lines.push(line) });
  for (let done = 10; done <= 1000; done += 10) {
    ms += 500;
    progress.at(done, ', 1 failure');
  }
  return lines;
}

test('who watches gets a line each ten seconds, a log one for each twentieth', () => {
  const [first, ...others] = run(true);
  assert.equal(first, 'cpu: 200 of 1000 (20 %), 20 a second, 1 failure');
  assert.equal(others.length, 4);
  const log = run(false);
  assert.equal(log.length, 20);
  assert.equal(log.at(-1), 'cpu: 1000 of 1000 (100 %), 20 a second, 1 failure');
});
