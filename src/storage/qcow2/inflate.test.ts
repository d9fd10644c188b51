import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { deflate } from '../deflate.ts';
import { inflate } from './inflate.ts';

/** Content of every kind: noise, words, runs, and long repeats. */
const CONTENT = fc
  .tuple(
    fc.uint8Array({ minLength: 1, maxLength: 3000 }),
    fc.integer({ min: 1, max: 30 }),
    fc.integer({ min: 1, max: 256 }),
  )
  .map(([bytes, times, letters]) =>
    Uint8Array.from({ length: bytes.length * times }, (_, i) => bytes[i % bytes.length]! % letters),
  );

const STRATEGIES = [constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY, constants.Z_RLE];

test('what zlib has compressed comes back, whatever stands behind it', () => {
  fc.assert(
    fc.property(
      CONTENT,
      fc.integer({ min: 0, max: 9 }),
      fc.constantFrom(...STRATEGIES),
      fc.uint8Array({ maxLength: 600 }),
      (content, level, strategy, behind) => {
        const stream = deflateRawSync(content, { level, strategy });
        const into = new Uint8Array(content.length);
        assert.equal(inflate(Uint8Array.from([...stream, ...behind]), into), undefined);
        assert.deepEqual(into, content);
      },
    ),
    { numRuns: 300 },
  );
});

test('what the platform has compressed comes back', async () => {
  const content = Uint8Array.from({ length: 200_000 }, (_, i) => (i * i) >> 7);
  const into = new Uint8Array(content.length);
  assert.equal(inflate(await deflate(content), into), undefined);
  assert.deepEqual(into, content);
});

test('a stream that is cut off or too short is told', () => {
  const content = new TextEncoder().encode('trapeze '.repeat(900));
  const stream = deflateRawSync(content);
  for (let length = 0; length < stream.length - 4; length++)
    assert.notEqual(inflate(stream.subarray(0, length), new Uint8Array(content.length)), undefined, `${length} bytes`);
  assert.equal(inflate(stream, new Uint8Array(content.length + 1)), 'the data is too short');
});

test('noise is an error or content, never an exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), (stream) => {
      const problem = inflate(stream, new Uint8Array(4096));
      assert.ok(problem === undefined || problem.length > 0);
    }),
    { numRuns: 2000 },
  );
});
