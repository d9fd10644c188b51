import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { Random } from '../../../test/conformance/random.ts';
import { decompressZstd } from './decompress.ts';

/** Text-like, repeating, random and constant parts. */
function content(random: Random, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const length = Math.min(size - at, 1 + random.below(4000));
    const part = bytes.subarray(at, at + length);
    switch (random.below(5)) {
      case 0:
        random.fill(part);
        break;
      case 1:
        part.fill(random.u32());
        break;
      case 2:
        for (let i = 0; i < length; i++) part[i] = 97 + Math.floor((random.below(26) * random.below(26)) / 26);
        break;
      case 3:
        for (let i = 0; i < length; i++) part[i] = random.below(3);
        break;
      default:
        if (at > 0) bytes.copyWithin(at, random.below(at), at);
    }
    at += length;
  }
  return bytes;
}

function compressed(bytes: Uint8Array, random: Random): Uint8Array {
  const level = random.pick([-5, 1, 3, 6, 9, 13, 19]);
  const checksum = random.below(2);
  return zstdCompressSync(bytes, {
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: checksum },
  });
}

test('what Zstandard has compressed, at any level, is read', () => {
  for (let seed = 0; seed < 120; seed++) {
    const random = new Random(seed);
    const bytes = content(random, random.pick([1, 300, 4096, 65_536, 400_000]));
    const into = new Uint8Array(bytes.length);
    assert.equal(decompressZstd(compressed(bytes, random), into), undefined, `seed ${seed}`);
    assert.deepEqual(into, bytes, `seed ${seed}`);
  }
});

test('frames behind each other are read, those to be skipped are, and what follows is left alone', () => {
  const random = new Random(1);
  const [one, other] = [content(random, 5000), content(random, 3000)];
  const skipped = Uint8Array.of(0x57, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3);
  const parts = [skipped, compressed(one, random), skipped, compressed(other, random), Uint8Array.of(1, 2, 3)];
  const into = new Uint8Array(8000);
  assert.equal(decompressZstd(Buffer.concat(parts), into), undefined);
  assert.deepEqual(Buffer.from(into), Buffer.concat([one, other]));
});

test('what is cut off, too long, or needs a dictionary is a problem in words', () => {
  const bytes = content(new Random(3), 9000);
  const stream = compressed(bytes, new Random(3));
  for (let length = 0; length < stream.length - 4; length += 7)
    assert.match(decompressZstd(stream.subarray(0, length), new Uint8Array(9000)) ?? '', /./);
  assert.equal(decompressZstd(stream, new Uint8Array(8999)), 'the data is too long');
  assert.match(decompressZstd(stream, new Uint8Array(9001)) ?? '', /./);
  const withDictionary = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 1, 9, 0, 0, 0);
  assert.equal(decompressZstd(withDictionary, new Uint8Array(1)), 'a frame needs a dictionary');
});

test('damaged data is a problem, or what Zstandard makes of it', () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (seed, place, flip) => {
      const random = new Random(seed % 50);
      const bytes = content(random, 3000);
      // A checksum would say what is wrong, which is not looked at here.
      const stream = new Uint8Array(zstdCompressSync(bytes));
      stream[place % stream.length]! ^= flip;
      const into = new Uint8Array(3000);
      if (decompressZstd(stream, into) !== undefined) return;
      let theirs: Uint8Array;
      try {
        theirs = zstdDecompressSync(stream);
      } catch {
        // The size in the header is not needed here.
        return;
      }
      if (theirs.length === 3000) assert.deepEqual(Buffer.from(into), Buffer.from(theirs));
    }),
    { numRuns: 2000 },
  );
});
