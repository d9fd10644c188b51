/** How many instructions a second the decoder takes in: the guest's kernel, as a stream of 64-bit code. */
import { readFileSync } from 'node:fs';
import { decode } from '../../src/isa/x86/decoder.ts';

/** Any real code does: the parts of this process's own Node that the kernel maps for execution would as well. */
const code = readFileSync(new URL('../../.cache/bench/bench', import.meta.url));
const LONGEST = 15;
const PASSES = 60;

let instructions = 0;
let lengths = 0;
const start = performance.now();
for (let pass = 0; pass < PASSES; pass++) {
  for (let at = 0; at + LONGEST <= code.length; ) {
    const decoded = decode(code.subarray(at, at + LONGEST), 64);
    const length = typeof decoded === 'string' ? 1 : decoded.fields.length;
    instructions++;
    lengths += length;
    at += length;
  }
}
const nanoseconds = Math.round((performance.now() - start) * 1e6);
console.log(`BENCH decoder ${nanoseconds} ns ${lengths.toString(16)} ${instructions} instructions`);
