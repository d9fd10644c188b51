/** How many instructions a second the decoder takes in: BusyBox of the embedded guest, its data included, as a stream of 64-bit code. */
import { readFileSync } from 'node:fs';
import { decode } from '../../src/isa/x86/decoder.ts';

const code = readFileSync(new URL('../../guest/images/initramfs-x86_64.cpio', import.meta.url));
const LONGEST = 15;
const PASSES = 4;
const NS_PER_MS = 1e6;

let instructions = 0;
let lengths = 0;
const start = performance.now();
for (let pass = 0; pass < PASSES; pass++) {
  for (let at = 0; at + LONGEST <= code.length; ) {
    const decoded = decode(code.subarray(at, at + LONGEST), 64);
    // What is no instruction is skipped a byte at a time.
    const length = typeof decoded === 'string' ? 1 : decoded.fields.length;
    instructions++;
    lengths += length;
    at += length;
  }
}
const nanoseconds = Math.round((performance.now() - start) * NS_PER_MS);
console.log(`BENCH decoder ${nanoseconds} ns ${lengths.toString(16)} ${instructions} instructions`);
