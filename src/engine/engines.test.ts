import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { dword, ENGINES, FlatGuest, listeningBus, Wire } from '../../test/support/flat-guest.ts';
import { PAGE_FLAGS_BASE, PAGE_SIZE, RAM_BASE } from './layout.ts';

const HLT = 0xf4;
const CODE = 0x1000;

/** Blocks of arithmetic that branch to each other at random, until the fuel in ECX is used up. */
interface ProgramBlock {
  readonly operations: readonly (readonly number[])[];
  readonly condition: number;
  readonly taken: number;
  readonly next: number;
}
const register = fc.constantFrom(0, 2, 3, 5, 6, 7);
const operation = fc.oneof(
  // ADD, OR, ADC, SBB, AND, SUB, XOR, CMP of two registers.
  fc.tuple(fc.integer({ min: 0, max: 7 }), register, register).map(([op, a, b]) => [op * 8 + 1, 0xc0 | (b << 3) | a]),
  // INC, DEC.
  fc.tuple(fc.boolean(), register).map(([up, r]) => [(up ? 0x40 : 0x48) + r]),
  // ROL, ROR, RCL, RCR, SHL, SHR, SAR by a constant.
  fc
    .tuple(fc.constantFrom(0, 1, 2, 3, 4, 5, 7), register, fc.nat(31))
    .map(([op, r, n]) => [0xc1, 0xc0 | (op << 3) | r, n]),
  // MOV [0x4000 + 4n], r and MOV r, [0x4000 + 4n].
  fc
    .tuple(fc.boolean(), register, fc.nat(8))
    .map(([store, r, n]) => [store ? 0x89 : 0x8b, (r << 3) | 5, ...dword(0x4000 + 4 * n)]),
  // SETcc and CMOVcc.
  fc.tuple(fc.nat(15), register, register).map(([cc, a, b]) => [0x0f, 0x40 + cc, 0xc0 | (a << 3) | b]),
  // IMUL r, r.
  fc.tuple(register, register).map(([a, b]) => [0x0f, 0xaf, 0xc0 | (a << 3) | b]),
);

/** Interrupt 0x30 goes to HLT: IDT at 0x5000, GDT at 0x6000 with flat code at selector 8. */
function haltAtInterrupt(guest: FlatGuest): void {
  guest.write(0x5000 + 0x30 * 8, [0x00, 0x30, 0x08, 0x00, 0x00, 0x8e, 0x00, 0x00]);
  guest.write(0x6008, [0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0]);
  guest.write(0x3000, [HLT]);
  for (const [register, value] of [
    ['IDTR.base', 0x5000n],
    ['IDTR.limit', 0x7ffn],
    ['GDTR.base', 0x6000n],
    ['GDTR.limit', 0xffn],
  ] as const)
    guest.vcpu.setRegister(register, value);
}

function assemble(blocks: readonly ProgramBlock[]): number[] {
  const FUEL_CHECK = 7;
  const BRANCHES = 6 + 5;
  const sizes = blocks.map((b) => FUEL_CHECK + b.operations.flat().length + BRANCHES);
  const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((a, b) => a + b, 0));
  const end = sizes.reduce((a, b) => a + b, 0);
  const code: number[] = [];
  const relative = (target: number): number[] => dword(target - (code.length + 4));
  for (const b of blocks) {
    // DEC ECX; JZ end.
    code.push(0x49, 0x0f, 0x84);
    code.push(...relative(end));
    code.push(...b.operations.flat());
    code.push(0x0f, 0x80 + b.condition);
    code.push(...relative(starts[b.taken]));
    code.push(0xe9);
    code.push(...relative(starts[b.next]));
  }
  return [...code, HLT];
}

const program = fc.integer({ min: 1, max: 9 }).chain((n) =>
  fc.array(
    fc.record({
      operations: fc.array(operation, { maxLength: 6 }),
      condition: fc.nat(15),
      taken: fc.nat(n - 1),
      next: fc.nat(n - 1),
    }),
    { minLength: n, maxLength: n },
  ),
);

test('every engine and tier runs random control flow alike', () => {
  fc.assert(
    fc.property(program, fc.integer({ min: 1, max: 400 }), (blocks, fuel) => {
      const outcomes = Object.entries(ENGINES).map(([name, make]) => {
        const guest = new FlatGuest(make(), assemble(blocks));
        guest.vcpu.setRegister('RCX', BigInt(fuel));
        assert.equal(guest.run(), 'halted', name);
        const state = { ...guest.registers(), retired: guest.vcpu.retired() };
        return { name, state, memory: [...guest.read(0x4000, 64)] };
      });
      for (const { name, state, memory } of outcomes) {
        assert.deepEqual(state, outcomes[0].state, name);
        assert.deepEqual(memory, outcomes[0].memory, name);
      }
    }),
    { numRuns: 20 },
  );
});

for (const [name, make] of Object.entries(ENGINES)) {
  describe(name, () => {
    test('XRSTOR initialises vector registers that are in use around it', () => {
      const code = [
        ...[0xb8, 3, 0, 0, 0], // MOV EAX, 3
        ...[0x31, 0xd2], // XOR EDX, EDX
        ...[0x66, 0x0f, 0x6e, 0xc8], // MOVD XMM1, EAX
        ...[0x0f, 0xae, 0x2d, ...dword(0x4000)], // XRSTOR [0x4000], which holds neither x87 nor SSE state
        ...[0x66, 0x0f, 0x7e, 0xcb], // MOVD EBX, XMM1
        ...[0x66, 0x0f, 0x6e, 0xd0], // MOVD XMM2, EAX
        HLT,
      ];
      const guest = new FlatGuest(make(), code);
      for (const [register, value] of [
        ['CR4', 0x40600n],
        ['XCR0', 3n],
        ['XMM0', 5n],
        ['XMM3', 6n],
      ] as const)
        guest.vcpu.setRegister(register, value);
      assert.equal(guest.run(), 'halted');
      const values = ['RBX', 'XMM0', 'XMM1', 'XMM2', 'XMM3'].map((r) => guest.vcpu.register(r));
      assert.deepEqual(values, [0n, 0n, 0n, 3n, 0n]);
    });

    test('a store changes an instruction of its own block', () => {
      // MOV BYTE [patched + 1], 42; MOV AL, 7; HLT: the second instruction's immediate is 42 by then.
      const patched = CODE + 7;
      const guest = new FlatGuest(make(), [0xc6, 0x05, ...dword(patched + 1), 42, 0xb0, 7, HLT]);
      assert.equal(guest.run(), 'halted');
      assert.equal(guest.vcpu.register('RAX') & 0xffn, 42n);
    });

    test('a loop that rewrites its own immediate every time adds what it wrote', () => {
      // again: MOV [imm], ECX; ADD EAX, imm32; DEC ECX; JNZ again; HLT.
      const immediate = CODE + 6 + 1;
      const guest = new FlatGuest(make(), [0x89, 0x0d, ...dword(immediate), 0x05, 0, 0, 0, 0, 0x49, 0x75, 0xf2, HLT]);
      // Tiers that start over at every change take longer.
      const turns = name === 'reference' || name === 'translator' ? 300 : 20_000;
      guest.vcpu.setRegister('RCX', BigInt(turns));
      assert.equal(guest.run(), 'halted');
      assert.equal(guest.vcpu.register('RAX'), BigInt.asUintN(32, (BigInt(turns) * BigInt(turns + 1)) / 2n));
    });

    test('an instruction over two pages is decoded anew when its second page changes', () => {
      const guest = new FlatGuest(make(), [0xe9, ...dword(0x1ffe - (CODE + 5))]);
      // MOV EAX, imm32 with its immediate on the next page; HLT.
      guest.write(0x1ffe, [0xb8, 1, 0, 0, 0, HLT]);
      assert.equal(guest.run(), 'halted');
      guest.vcpu.setRegister('RIP', 0x1000n);
      guest.write(0x2000, [2]);
      assert.equal(guest.run(), 'halted');
      assert.equal(guest.vcpu.register('RAX'), 0x201n);
    });

    test('code beyond RAM leaves RAM alone, also when it is forgotten', () => {
      // JMP to what a large page of PAE paging maps beyond RAM: all ones there are an invalid instruction.
      const guest = new FlatGuest(make(), [0xe9, ...dword(0x20_0000 - (CODE + 5))]);
      const forgotten = 0x4000;
      // If the engine had a byte for each page here too, the page's were at `forgotten` in RAM.
      const beyond = (RAM_BASE - PAGE_FLAGS_BASE + forgotten) * PAGE_SIZE;
      guest.write(0x6000, [...dword(0x7001), ...dword(0)]);
      const large = 0x83;
      guest.write(0x7000, [...dword(large), ...dword(0), ...dword((beyond | large) >>> 0), ...dword(beyond / 2 ** 32)]);
      const filled = new Array<number>(512).fill(0x55);
      guest.write(forgotten, filled);
      for (const [register, value] of [
        ['CR3', 0x6000n],
        ['CR4', 0x20n],
        ['CR0', 0x8000_0011n],
        ['IDTR.limit', 0n],
      ] as const)
        guest.vcpu.setRegister(register, value);
      assert.equal(guest.run(), 'shutdown');
      assert.equal(guest.vcpu.register('RIP'), 0x20_0000n);
      guest.vcpu.reset();
      assert.deepEqual([...guest.read(forgotten, filled.length)], filled);
    });

    test('an interrupt is taken within 1,000 instructions of its assertion', () => {
      const wire = new Wire(0x30);
      let guest: FlatGuest | undefined;
      let asserted = 0;
      const ports = listeningBus(() => {
        wire.asserted = true;
        asserted = guest!.vcpu.retired();
        guest!.vcpu.kick();
      });
      // STI; OUT 0x80, AL; loop for ever.
      guest = new FlatGuest(make(), [0xfb, 0xe6, 0x80, 0x40, 0x40, 0xeb, 0xfc], { ports, interrupts: wire });
      haltAtInterrupt(guest);
      assert.equal(guest.run(), 'halted');
      assert.ok(guest.vcpu.retired() - asserted <= 1000, `${guest.vcpu.retired() - asserted} instructions`);
    });

    test('an interrupt that waits comes one instruction behind STI, in hot code too', () => {
      const wire = new Wire(0x30);
      // As elsewhere: tiers that are slow at what is done once.
      const turns = name === 'reference' || name === 'translator' ? 300 : 40_000;
      let left = turns;
      let guest: FlatGuest | undefined;
      const ports = listeningBus(() => {
        if (--left > 0) return;
        wire.asserted = true;
        guest!.vcpu.kick();
      });
      // CLI; OUT 0x80, AL; INC EBX; STI; INC ECX; INC EDX; JMP to the start.
      const code = [0xfa, 0xe6, 0x80, 0x43, 0xfb, 0x41, 0x42, 0xeb, 0xf7];
      guest = new FlatGuest(make(), code, { ports, interrupts: wire });
      haltAtInterrupt(guest);
      for (const register of ['RBX', 'RCX', 'RDX']) guest.vcpu.setRegister(register, 0n);
      assert.equal(guest.run(), 'halted');
      const counts = ['RBX', 'RCX', 'RDX'].map((r) => Number(guest.vcpu.register(r)));
      assert.deepEqual(counts, [turns, turns, turns - 1]);
    });

    test('a device access sees the number of instructions before it', () => {
      const seen: number[] = [];
      let guest: FlatGuest | undefined;
      const ports = listeningBus(() => seen.push(guest!.vcpu.retired()));
      guest = new FlatGuest(make(), [0x40, 0x40, 0xe6, 0x80, 0x40, 0xe6, 0x80, HLT], { ports });
      assert.equal(guest.run(), 'halted');
      assert.deepEqual(seen, [2, 4]);
    });
  });
}
