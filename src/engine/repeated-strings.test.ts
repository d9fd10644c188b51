import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dword, ENGINES, FlatGuest } from '../../test/support/flat-guest.ts';

const HLT = 0xf4;
const REP = 0xf3;
/** What is copied and filled: four pages, and some of the next. */
const FROM = 0x4000;
const BYTES = 0x4800;

/** MOVSB, MOVSD, STOSB and STOSD, forwards and backwards. */
const run = fc.record({
  opcode: fc.constantFrom(0xa4, 0xa5, 0xaa, 0xab),
  back: fc.boolean(),
  source: fc.nat(0x3fff),
  // Close targets overlap: the instruction repeats what it wrote.
  distance: fc.oneof(fc.integer({ min: -9, max: 9 }), fc.integer({ min: -0x2000, max: 0x2000 })),
  count: fc.oneof(fc.nat(20), fc.nat(0x2400)),
});
type Run = typeof run extends fc.Arbitrary<infer T> ? T : never;

function codeOf({ opcode, back, source, distance, count }: Run): number[] {
  const target = Math.min(Math.max(source + distance, 0), 0x3fff);
  const elements = Math.floor(count / (opcode & 1 ? 4 : 1));
  // Neither end leaves what is compared.
  const room = back ? Math.min(source, target) : BYTES - 8 - Math.max(source, target);
  const fitting = Math.min(elements, Math.floor(room / (opcode & 1 ? 4 : 1)));
  return [
    back ? 0xfd : 0xfc, // STD or CLD
    ...[0xbe, ...dword(FROM + source)], // MOV ESI, source
    ...[0xbf, ...dword(FROM + target)], // MOV EDI, target
    ...[0xb9, ...dword(fitting)], // MOV ECX, elements
    ...[REP, opcode],
    0x47, // INC EDI, which is kept in EAX
    0x97, // XCHG EAX, EDI
  ];
}

test('every engine and tier copies and fills alike', () => {
  fc.assert(
    fc.property(fc.array(run, { minLength: 1, maxLength: 6 }), fc.boolean(), (runs, executed) => {
      // A page that code is executed on is written by one element after another.
      const call = executed ? [0xe8, ...dword(FROM + 0x1008 - 0x1005)] : [];
      const code = [...call, ...runs.flatMap(codeOf), HLT];
      const outcomes = Object.entries(ENGINES).map(([name, make]) => {
        const guest = new FlatGuest(make(), code);
        guest.vcpu.setRegister('RSP', 0xf000n);
        guest.write(
          FROM,
          Array.from({ length: BYTES }, (_, i) => (i * 7 + (i >> 8)) & 0xff),
        );
        guest.write(FROM + 0x1008, [0xc3]);
        assert.equal(guest.run(), 'halted', name);
        const state = { ...guest.registers(), retired: guest.vcpu.retired() };
        return { name, state, memory: [...guest.read(FROM, BYTES)] };
      });
      for (const { name, state, memory } of outcomes) {
        assert.deepEqual(state, outcomes[0].state, name);
        assert.deepEqual(memory, outcomes[0].memory, name);
      }
    }),
    { numRuns: 15 },
  );
});
