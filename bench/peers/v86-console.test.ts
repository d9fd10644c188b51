import assert from 'node:assert/strict';
import test from 'node:test';
import { parseBenchLines } from '../bench-lines.ts';
import { V86Console } from './v86-console.ts';

/** What comes of the text, and how much of it was taken when the guest was seen to have ended. */
function feed(text: string): { output: string; endedAfter: string | undefined } {
  const terminal = new V86Console();
  let [output, endedAfter]: [string, string | undefined] = ['', undefined];
  for (const byte of new TextEncoder().encode(text)) {
    output += terminal.take(byte);
    if (terminal.ended) endedAfter ??= output;
  }
  return { output, endedAfter };
}

test('bytes become text, characters of several bytes too, and results can be read from it', () => {
  const text = 'Grüße → \r\nBENCH integer-sort 1000 ns ab12 500 instructions\r\n';
  const { output, endedAfter } = feed(text);
  assert.equal(output, text);
  assert.equal(endedAfter, undefined);
  assert.equal(parseBenchLines(output)[0].checksum, 'ab12');
});

for (const words of [
  'reboot: Power down',
  'reboot: System halted',
  'Kernel panic - not syncing: Attempted to kill init!',
])
  test(`'${words}' on a line ends the run, at the end of that line`, () => {
    const line = `[   38.870682] ${words}\r\n`;
    assert.equal(feed(`before\r\n${line}behind\r\n`).endedAfter, `before\r\n${line}`);
    assert.equal(feed(line.trimEnd()).endedAfter, undefined);
  });
