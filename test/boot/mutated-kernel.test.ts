/** Kernels with damaged headers and code: whatever they make the machine do, the host lives on. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadBootSource } from '../../src/boot/load.ts';
import { Machine, UserError } from '../../src/host/node/index.ts';
import { pcMemoryMap } from '../../src/machine/boards/pc-layout.ts';
import { multibootElf } from '../support/multiboot-elf.ts';
import { TestRam } from '../support/test-ram.ts';

const MIB = 2 ** 20;
const LINUX = readFileSync(new URL('../../guest/images/vmlinuz-x86_64', import.meta.url));
/** The setup header, and behind it the first code that is executed by either entry. */
const SETUP_HEADER = { from: 0x1f1, to: 0x268 };
const ENTRY_CODE = { from: (LINUX[SETUP_HEADER.from]! + 1) * 512, bytes: 1024 };

interface Mutation {
  readonly at: number;
  readonly value: number;
}

const byte = (from: number, to: number): fc.Arbitrary<Mutation> =>
  fc.record({ at: fc.integer({ min: from, max: to - 1 }), value: fc.nat(255) });
const inHeader = byte(SETUP_HEADER.from, SETUP_HEADER.to);
const inCode = byte(ENTRY_CODE.from, ENTRY_CODE.from + ENTRY_CODE.bytes);
/** Biased to what is large, negative or nothing at all. */
const word: fc.Arbitrary<readonly Mutation[]> = fc
  .record({
    at: fc.integer({ min: SETUP_HEADER.from, max: SETUP_HEADER.to - 4 }),
    value: fc.constantFrom(0, 1, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_f000, 0xffff_ffff),
  })
  .map(({ at, value }) => [0, 1, 2, 3].map((i) => ({ at: at + i, value: (value >>> (8 * i)) & 0xff })));

function mutated(bytes: Uint8Array, mutations: readonly Mutation[]): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (const { at, value } of mutations) copy[at] = value;
  return copy;
}

/** A user's mistake is an answer, any other exception a defect. */
function orRefusal(error: unknown): void {
  if (!(error instanceof UserError)) throw error;
  assert.doesNotMatch(error.message, /\n/);
}

function load(kernel: Uint8Array, memory: TestRam): void {
  const source = { kernel: { name: 'kernel', bytes: kernel }, initrds: [], commandLine: 'x' };
  const memoryMap = pcMemoryMap(memory.size);
  try {
    loadBootSource(source, { memory, memoryMap, rsdp: 0xe_0000, seed: new Uint8Array(32) });
  } catch (error) {
    orRefusal(error);
  }
}

test('a bzImage with any header loads or is refused in one line', () => {
  const memory = new TestRam(64 * MIB);
  const damage = fc.oneof(fc.array(inHeader, { minLength: 1, maxLength: 8 }), word);
  fc.assert(
    fc.property(damage, (mutations) => load(mutated(LINUX, mutations), memory)),
    { numRuns: 500 },
  );
});

test('an ELF file with any headers loads or is refused in one line', () => {
  const memory = new TestRam(4 * MIB);
  const elf = multibootElf();
  const damage = fc.array(byte(0, elf.length), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(damage, (mutations) => load(mutated(elf, mutations), memory)),
    { numRuns: 5000 },
  );
});

test('a machine runs damaged kernels without an exception and obeys its time limit', async () => {
  const damage = fc.array(fc.oneof(inHeader, inCode), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(damage, async (mutations) => {
      const options = { kernel: mutated(LINUX, mutations), memory: '64M', timeout: 0.2, noReboot: true } as const;
      await Machine.create(options)
        .then((machine) => machine.run())
        .then(() => {}, orRefusal);
    }),
    { numRuns: 40, endOnFailure: true },
  );
});
