import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dword } from '../support/flat-guest.ts';
import {
  descriptor,
  GDT_LIMIT,
  type Mode,
  PLACE,
  SELECTOR,
  SYSTEM_ENGINES,
  SystemGuest,
} from '../support/system-guest.ts';

const [NP, SS, GP, UD] = [11, 12, 13, 6];
const ZF = 0x40;
const FREE = SELECTOR.free;
const at = (offset: number): bigint => BigInt(PLACE.code + offset);
/** MOV to a segment register from AX. */
const moveTo = (segment: 'ES' | 'SS' | 'DS' | 'FS' | 'GS'): number[] => [
  0x8e,
  0xc0 | (['ES', 'CS', 'SS', 'DS', 'FS', 'GS'].indexOf(segment) << 3),
];

for (const [name, make] of Object.entries(SYSTEM_ENGINES)) {
  describe(`segments on ${name}`, () => {
    const guest = new SystemGuest(make());
    /** Vector and error code; 3 without one for code that went through. */
    const fault = (): [number, number | undefined] => {
      const { vector, code } = guest.run();
      return [vector, code];
    };
    const load = (
      segment: 'SS' | 'DS' | 'GS',
      selector: number,
      d: bigint | undefined,
      mode: Mode = 'protected32',
      cpl: 0 | 3 = 0,
    ): [number, number | undefined] => {
      guest.start(mode, moveTo(segment), { cpl, registers: { RAX: BigInt(selector) } });
      if (d !== undefined) guest.setDescriptor(selector, d);
      return fault();
    };

    test('data segment registers take readable segments that the levels allow, and mark them as accessed', () => {
      assert.deepEqual(load('DS', FREE, descriptor(0, 0xfff, 0x90)), [3, undefined]);
      assert.equal(guest.number(PLACE.gdt + FREE + 5, 1), 0x91n);
      assert.deepEqual(load('DS', FREE, descriptor(0, 0xfff, 0x98)), [GP, FREE], 'code that cannot be read');
      assert.deepEqual(load('DS', FREE, descriptor(0, 0xfff, 0x9a)), [3, undefined], 'code that can');
      assert.deepEqual(load('DS', FREE, descriptor(0, 0xfff, 0x12)), [NP, FREE], 'not present');
      assert.deepEqual(load('DS', FREE, descriptor(0, 0xfff, 0x82)), [GP, FREE], 'a system segment');
      assert.deepEqual(load('DS', FREE | 3, descriptor(0, 0xfff, 0x92)), [GP, FREE], 'RPL above DPL');
      assert.deepEqual(load('DS', FREE | 3, descriptor(0, 0xfff, 0x9e)), [3, undefined], 'conforming code');
      assert.deepEqual(load('DS', (GDT_LIMIT + 1) | 3, undefined), [GP, GDT_LIMIT + 1], 'beyond the table');
      assert.deepEqual(load('DS', FREE | 4, undefined), [GP, FREE | 4], 'no LDT');
      assert.deepEqual(load('DS', 3, undefined), [3, undefined], 'null');
    });

    test('SS takes writable data of the current level alone', () => {
      assert.deepEqual(load('SS', FREE, descriptor(0, 0xfffff, 0xc092)), [3, undefined]);
      assert.deepEqual(load('SS', FREE, descriptor(0, 0xfff, 0x90)), [GP, FREE], 'read-only');
      assert.deepEqual(load('SS', FREE, descriptor(0, 0xfff, 0xf2)), [GP, FREE], 'DPL');
      assert.deepEqual(load('SS', FREE | 3, descriptor(0, 0xfff, 0x92)), [GP, FREE], 'RPL');
      assert.deepEqual(load('SS', FREE, descriptor(0, 0xfff, 0x12)), [SS, FREE], 'not present');
      assert.deepEqual(load('SS', 0, undefined), [GP, 0], 'null');
      assert.deepEqual(load('SS', 0, undefined, 'long'), [3, undefined], 'null at level 0 of 64-bit mode');
      assert.deepEqual(load('SS', 3, undefined, 'long', 3), [GP, 0], 'null at level 3');
    });

    test('CS cannot be loaded by MOV, and there are no further segment registers', () => {
      for (const modrm of [0xc8, 0xf0, 0xf8]) {
        guest.start('protected32', [0x8e, modrm]);
        assert.deepEqual(fault(), [UD, undefined]);
      }
    });

    test('accesses stay within limits: #GP(0), through SS #SS(0)', () => {
      const access = (segment: string, offset: number, rights: bigint, opcode = 0x8b, limit = 0xfffn): number => {
        const prefix = segment === 'SS' ? 0x36 : 0x3e;
        guest.start('protected32', [prefix, opcode, 0x05, ...dword(offset)], {
          cpl: 3,
          registers: {
            [`${segment}.limit`]: limit,
            [`${segment}.access`]: rights | 0x60n,
            [`${segment}.base`]: 0x10000n,
          },
        });
        const [vector, code] = fault();
        assert.equal(code, vector === 3 ? undefined : 0);
        return vector;
      };
      assert.equal(access('DS', 0xffc, 0xc093n), 3);
      assert.equal(access('DS', 0xffd, 0xc093n), GP);
      assert.equal(access('SS', 0xffd, 0xc093n), SS);
      assert.equal(access('DS', 0xffffffff, 0xc093n), GP);
      // Expand-down: above the limit, up to 4 GiB or 64 KiB.
      assert.equal(access('DS', 0x1000, 0xc097n), 3);
      assert.equal(access('DS', 0xfff, 0xc097n), GP);
      assert.equal(access('DS', 0xfffc, 0x0097n), 3);
      assert.equal(access('DS', 0xfffd, 0x0097n), GP);
      assert.equal(access('DS', 0, 0xc091n, 0x89), GP, 'a store to read-only data');
      assert.equal(access('DS', 0, 0xc099n), GP, 'a load from code that cannot be read');
      assert.equal(access('DS', 0, 0x1c093n), GP, 'through a null selector');
    });

    test('code ends where its segment does, also in the midst of an instruction', () => {
      // MOV EAX, imm32 whose last byte lies beyond.
      const run = (limit: number): [number, bigint] => {
        guest.start('protected32', [0x90, 0xb8, 1, 2, 3, 4], { registers: { 'CS.limit': BigInt(limit) } });
        const { vector, ip } = guest.run();
        return [vector, ip];
      };
      assert.deepEqual(run(PLACE.code + 6), [3, at(7)]);
      assert.deepEqual(run(PLACE.code + 5), [GP, at(6)]);
      assert.deepEqual(run(PLACE.code + 4), [GP, at(1)]);
      assert.deepEqual(run(PLACE.code), [GP, at(1)]);
      // JMP short to beyond the limit faults at the jump.
      guest.start('protected32', [0xeb, 0x40], { registers: { 'CS.limit': BigInt(PLACE.code + 0x20) } });
      assert.deepEqual(guest.run().ip, at(0));
    });

    test('real mode: an operand beyond 64 KiB, and an instruction beyond them', () => {
      // MOV AX, [0xffff].
      guest.start('real', [0xa1, 0xff, 0xff]);
      assert.equal(guest.run().vector, GP);
      guest.start('real', [], { registers: { RIP: 0xfffen, 'CS.base': 0x20n } });
      guest.write(0x1001e, [0xb8, 0, 0]);
      assert.equal(guest.run().vector, GP);
    });

    test('64-bit mode: an address that is not canonical is #SS(0) through the stack, else #GP(0)', () => {
      const bad = 1n << 47n;
      const access = (
        code: readonly number[],
        registers: Readonly<Record<string, bigint>>,
      ): [number, number | undefined] => {
        guest.start('long', code, { registers });
        // The handlers have a stack of their own.
        for (const v of [SS, GP]) guest.setNumber(PLACE.idt + v * 16 + 4, 1, 1);
        guest.setNumber(PLACE.tss + 0x24, 8, PLACE.kernelStack);
        return fault();
      };
      assert.deepEqual(access([0x8b, 0x03], { RBX: bad }), [GP, 0], 'MOV EAX, [RBX]');
      assert.deepEqual(access([0x8b, 0x45, 0], { RBP: bad }), [SS, 0], 'MOV EAX, [RBP]');
      assert.deepEqual(access([0x89, 0x04, 0x24], { RSP: bad }), [SS, 0], 'MOV [RSP], EAX');
      assert.deepEqual(access([0x01, 0x45, 0], { RBP: bad }), [SS, 0], 'ADD [RBP], EAX');
      assert.deepEqual(
        access([0x3e, 0x8b, 0x45, 0], { RBP: bad }),
        [SS, 0],
        'MOV EAX, DS:[RBP], a prefix without effect',
      );
      assert.deepEqual(access([0x65, 0x8b, 0x45, 0], { RBP: bad }), [GP, 0], 'MOV EAX, GS:[RBP]');
      assert.deepEqual(access([0x50], { RSP: bad + 16n }), [SS, 0], 'PUSH RAX');
      assert.deepEqual(access([0x58], { RSP: bad }), [SS, 0], 'POP RAX');
      assert.deepEqual(access([0xff, 0x33], { RBX: bad }), [GP, 0], 'PUSH [RBX]');
      assert.deepEqual(access([0xe8, 0, 0, 0, 0], { RSP: bad + 16n }), [SS, 0], 'CALL');
      assert.deepEqual(access([0xc3], { RSP: bad }), [SS, 0], 'RET');
      assert.deepEqual(access([0xc9], { RBP: bad }), [SS, 0], 'LEAVE');
      assert.deepEqual(access([0x48, 0xcf], { RSP: bad }), [SS, 0], 'IRETQ');
      assert.deepEqual(access([0x0f, 0x10, 0x45, 0], { RBP: bad, CR4: 0x620n }), [SS, 0], 'MOVUPS XMM0, [RBP]');
    });

    test('LAR, LSL, VERR and VERW see what the levels let them see', () => {
      const inspect = (opcode: readonly number[], selector: number, access: number, mode: Mode, cpl: 0 | 3): bigint => {
        const registers = { RAX: BigInt(selector), RBX: 0x1234n };
        guest.start(mode, opcode, { cpl, registers });
        guest.setDescriptor(selector, descriptor(0x100000, 0x12345, access));
        const { flags } = guest.run();
        return (flags & ZF) === 0 ? -1n : guest.get('RBX');
      };
      const LAR = [0x0f, 0x02, 0xd8];
      const LSL = [0x0f, 0x03, 0xd8];
      const VERR = [0x0f, 0x00, 0xe0];
      const VERW = [0x0f, 0x00, 0xe8];
      assert.equal(inspect(LAR, FREE, 0xc093, 'protected32', 0), 0xc09300n);
      assert.equal(inspect(LSL, FREE, 0xc093, 'protected32', 0), 0x12345fffn);
      assert.equal(inspect(LSL, FREE, 0x4093, 'protected32', 0), 0x12345n);
      assert.equal(inspect(LAR, FREE, 0xc093, 'protected32', 3), -1n, 'DPL 0 from level 3');
      assert.equal(inspect(LAR, FREE, 0xc09f, 'protected32', 3), 0xc09f00n, 'conforming code');
      // System types: both know a 16-bit TSS in protected mode, neither in IA-32e mode; LSL knows no gates.
      assert.notEqual(inspect(LSL, FREE, 0x81, 'protected32', 0), -1n);
      assert.equal(inspect(LSL, FREE, 0x81, 'long', 0), -1n);
      assert.notEqual(inspect(LAR, FREE, 0x8c, 'long', 0), -1n);
      assert.equal(inspect(LSL, FREE, 0x8c, 'long', 0), -1n);
      assert.equal(inspect(LAR, FREE, 0x8e, 'protected32', 0), -1n, 'an interrupt gate');
      const verified = (opcode: readonly number[], access: number, cpl: 0 | 3 = 0): boolean =>
        inspect(opcode, FREE, access, 'protected32', cpl) !== -1n;
      assert.deepEqual(
        [0x91, 0x93, 0x99, 0x9b, 0x9f].map((a) => [verified(VERR, a), verified(VERW, a), verified(VERR, a, 3)]),
        [
          [true, false, false],
          [true, true, false],
          [false, false, false],
          [true, false, false],
          [true, false, true],
        ],
      );
      for (const code of [LAR, LSL, VERR, VERW]) {
        guest.start('virtual8086', code);
        assert.equal(guest.run().vector, UD);
        guest.start('real', code);
        assert.equal(guest.run().vector, UD);
      }
    });

    test('ARPL raises the requested level', () => {
      // ARPL AX, CX.
      const adjust = (a: number, c: number): [bigint, boolean] => {
        guest.start('protected32', [0x63, 0xc8], { registers: { RAX: BigInt(a), RCX: BigInt(c) } });
        const { flags } = guest.run();
        return [guest.get('RAX'), (flags & ZF) !== 0];
      };
      assert.deepEqual(adjust(0x10, 0x23), [0x13n, true]);
      assert.deepEqual(adjust(0x12, 0x21), [0x12n, false]);
    });

    test('LTR and LLDT take their types, present, of the GDT; LTR marks the task busy', () => {
      const system = (modrm: number, selector: number, access: number, mode: Mode): [number, number | undefined] => {
        guest.start(mode, [0x0f, 0x00, modrm], { registers: { RAX: BigInt(selector) } });
        if (selector !== 0) guest.setDescriptor(selector, descriptor(PLACE.otherTss, 0x67, access));
        return fault();
      };
      const [LLDT, LTR] = [0xd0, 0xd8];
      assert.deepEqual(system(LTR, FREE, 0x89, 'protected32'), [3, undefined]);
      assert.equal(guest.number(PLACE.gdt + FREE + 5, 1), 0x8bn);
      assert.deepEqual(system(LTR, FREE, 0x8b, 'protected32'), [GP, FREE], 'busy');
      assert.deepEqual(system(LTR, FREE, 0x81, 'protected32'), [3, undefined], '16 bits');
      assert.deepEqual(system(LTR, FREE, 0x81, 'long'), [GP, FREE], '16 bits in IA-32e mode');
      assert.deepEqual(system(LTR, FREE, 0x09, 'protected32'), [NP, FREE]);
      assert.deepEqual(system(LTR, FREE | 4, 0x89, 'protected32'), [GP, FREE | 4]);
      assert.deepEqual(system(LTR, 0, 0, 'protected32'), [GP, 0]);
      assert.deepEqual(system(LTR, GDT_LIMIT - 7, 0x89, 'long'), [GP, GDT_LIMIT - 7], 'no room for 16 bytes');
      assert.deepEqual(system(LLDT, FREE, 0x82, 'protected32'), [3, undefined]);
      assert.deepEqual(system(LLDT, FREE, 0x89, 'protected32'), [GP, FREE]);
      assert.deepEqual(system(LLDT, 0, 0, 'protected32'), [3, undefined]);
    });
  });
}
