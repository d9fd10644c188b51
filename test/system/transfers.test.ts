import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dword } from '../support/flat-guest.ts';
import { descriptor, gate, type Mode, PLACE, SELECTOR, SYSTEM_ENGINES, SystemGuest } from '../support/system-guest.ts';

const [DF, TS, NP, SS, GP] = [8, 10, 11, 12, 13];
const FREE = SELECTOR.free;
const CALL_GATE = { narrow: 0xe4, wide: 0xec } as const;
const TARGET = 0x3000;
const at = (offset: number): bigint => BigInt(PLACE.code + offset);
const word = (n: number): number[] => [n & 0xff, n >> 8];
/** CALL and JMP to a far pointer of 32 bits. */
const callFar = (selector: number, offset = 0): number[] => [0x9a, ...dword(offset), ...word(selector)];
const jumpFar = (selector: number, offset = 0): number[] => [0xea, ...dword(offset), ...word(selector)];

for (const [name, make] of Object.entries(SYSTEM_ENGINES)) {
  describe(`far transfers on ${name}`, () => {
    const guest = new SystemGuest(make());
    const fault = (): [number, number | undefined] => {
      const { vector, code } = guest.run();
      return [vector, code];
    };
    /** Runs code, TARGET being INT3, with descriptors in place from FREE on. */
    const go = (
      mode: Mode,
      code: readonly number[],
      descriptors: readonly bigint[],
      cpl: 0 | 3 = 0,
      registers: Readonly<Record<string, bigint>> = {},
    ): [number, number | undefined] => {
      guest.start(mode, code, { cpl, registers });
      guest.write(TARGET, [0xcc]);
      for (const [i, d] of descriptors.entries()) guest.setDescriptor(FREE + i * 8, d);
      return fault();
    };

    test('a direct jump goes to code of the same level, or to conforming code', () => {
      const jump = (access: number, selector = FREE, cpl: 0 | 3 = 0): [number, number | undefined] =>
        go('protected32', jumpFar(selector, TARGET), [descriptor(0, 0xfffff, access)], cpl);
      assert.deepEqual(jump(0xc09a), [3, undefined]);
      assert.equal(guest.number(PLACE.gdt + FREE + 5, 1), 0x9bn, 'accessed');
      assert.deepEqual(jump(0xc0fa), [GP, FREE], 'an outer level');
      assert.deepEqual(jump(0xc09a, FREE, 3), [GP, FREE], 'an inner level');
      assert.deepEqual(jump(0xc09e, FREE, 3), [3, undefined], 'inner, conforming');
      assert.deepEqual(jump(0xc09a, FREE | 3), [GP, FREE], 'RPL above CPL');
      assert.deepEqual(jump(0xc092), [GP, FREE], 'data');
      assert.deepEqual(jump(0xc01a), [NP, FREE], 'not present');
      assert.deepEqual(jump(0x809a, 0), [GP, 0], 'null');
      assert.deepEqual(go('protected32', jumpFar(FREE, TARGET), [descriptor(0, TARGET - 1, 0x409a)]), [GP, 0], 'limit');
    });

    test('a call gate to an inner level changes stacks and copies parameters', () => {
      for (const kind of ['wide', 'narrow'] as const) {
        const bytes = kind === 'wide' ? 4 : 2;
        guest.start('protected32', callFar(FREE | 3), { cpl: 3 });
        guest.write(TARGET, [0xf4]);
        guest.setDescriptor(FREE, gate(SELECTOR.code32, TARGET, CALL_GATE[kind], 2));
        for (const [i, parameter] of [0x1111, 0x2222].entries())
          guest.setNumber(PLACE.stack + i * bytes, bytes as 2 | 4, parameter);
        assert.throws(() => guest.run(), /halted at 3000/);
        const frame = [0, 1, 2, 3, 4, 5].map((i) => guest.number(PLACE.kernelStack - (6 - i) * bytes, bytes as 2 | 4));
        assert.deepEqual(frame, [at(7), 0x43n, 0x1111n, 0x2222n, BigInt(PLACE.stack), 0x3bn], kind);
        assert.equal(guest.get('RSP'), BigInt(PLACE.kernelStack - 6 * bytes));
        assert.equal(guest.get('SS.selector'), BigInt(SELECTOR.data));
      }
    });

    test('a call gate of 64 bits takes its stack from the TSS and pushes four quadwords', () => {
      const upper = 0n;
      // CALL m16:32 [data].
      const call = [0xff, 0x1c, 0x25, ...dword(PLACE.data)];
      guest.start('long', call, { cpl: 3 });
      guest.setNumber(PLACE.data + 4, 2, FREE | 3);
      guest.write(TARGET, [0xf4]);
      guest.setDescriptor(FREE, gate(SELECTOR.code64, TARGET, CALL_GATE.wide));
      guest.setDescriptor(FREE + 8, upper);
      assert.throws(() => guest.run(), /halted at 3000/);
      const frame = [0, 1, 2, 3].map((i) => guest.number(PLACE.kernelStack - (4 - i) * 8, 8));
      assert.deepEqual(frame, [at(7), 0x33n, BigInt(PLACE.stack), 0x3bn]);
      assert.equal(guest.get('SS.selector'), 0n);
      // The upper half of a gate has type 0; a stack outside the canonical addresses is #SS(0).
      guest.start('long', call, { cpl: 3 });
      guest.setNumber(PLACE.data + 4, 2, FREE | 3);
      guest.setDescriptor(FREE, gate(SELECTOR.code64, TARGET, CALL_GATE.wide));
      guest.setDescriptor(FREE + 8, 1n << 40n);
      assert.deepEqual(fault(), [GP, FREE]);
      guest.start('long', call, { cpl: 3 });
      guest.setNumber(PLACE.data + 4, 2, FREE | 3);
      guest.setDescriptor(FREE, gate(SELECTOR.code64, TARGET, CALL_GATE.wide));
      guest.setNumber(PLACE.tss + 4, 8, 1n << 50n);
      guest.setNumber(PLACE.idt + SS * 16 + 4, 1, 1);
      guest.setNumber(PLACE.tss + 0x24, 8, PLACE.kernelStack);
      assert.deepEqual(fault(), [SS, 0]);
    });

    test('a call gate from compatibility mode to the same level pushes as 64-bit code does', () => {
      // CALL 60:0, with a base in SS that 64-bit mode does not have.
      guest.start('compatibility', [0x9a, ...dword(0), FREE, 0], { registers: { 'SS.base': 0x100n } });
      guest.write(TARGET, [0xf4]);
      guest.setDescriptor(FREE, gate(SELECTOR.code64, TARGET, CALL_GATE.wide));
      guest.setDescriptor(FREE + 8, 0n);
      assert.throws(() => guest.run(), /halted at 3000/);
      assert.equal(guest.get('RSP'), BigInt(PLACE.stack - 16));
      const frame = [0, 1].map((i) => guest.number(PLACE.stack - 16 + i * 8, 8));
      assert.deepEqual(frame, [at(7), BigInt(SELECTOR.code32)]);
    });

    test('what is wrong with a gate, its target or its stack is told by the right name', () => {
      const call = (g: bigint, more: readonly bigint[] = [], selector = FREE | 3): [number, number | undefined] =>
        go('protected32', callFar(selector), [g, ...more], 3);
      const code = (access: number): bigint => descriptor(0, 0xfffff, access);
      const wide = (selector: number): bigint => gate(selector, TARGET, CALL_GATE.wide);
      assert.deepEqual(call(gate(SELECTOR.code32, TARGET, 0x8c)), [GP, FREE], 'the gate is of level 0');
      assert.deepEqual(call(gate(SELECTOR.code32, TARGET, 0x6c)), [NP, FREE], 'the gate is not present');
      assert.deepEqual(call(wide(0)), [GP, 0], 'to null');
      assert.deepEqual(call(wide(SELECTOR.data)), [GP, SELECTOR.data], 'to data');
      assert.deepEqual(call(wide(FREE + 8), [code(0xc01a)]), [NP, FREE + 8], 'to code that is not present');
      const badStack = (
        d: bigint | undefined,
        selector: number,
        esp = PLACE.kernelStack,
      ): [number, number | undefined] => {
        guest.start('protected32', callFar(FREE | 3), { cpl: 3 });
        guest.setDescriptor(FREE, wide(SELECTOR.code32));
        if (d !== undefined) guest.setDescriptor(FREE + 8, d);
        // Handlers of level 3 need no other stack; they stay where they are.
        for (const v of [TS, SS]) {
          guest.write(PLACE.handlers + v * 16, [0xeb, 0xfe]);
          guest.setNumber(PLACE.idt + v * 8, 8, gate(SELECTOR.userCode32, PLACE.handlers + v * 16, 0xee));
        }
        guest.setNumber(PLACE.tss + 4, 4, esp);
        guest.setNumber(PLACE.tss + 8, 2, selector);
        guest.vcpu.run(100);
        const vector = (Number(guest.get('RIP')) - PLACE.handlers) / 16;
        return [vector, Number(guest.number(Number(guest.get('RSP')), 4))];
      };
      assert.deepEqual(badStack(undefined, 0), [TS, 0], 'a null stack');
      assert.deepEqual(badStack(descriptor(0, 0xfffff, 0xc0f2), FREE + 8), [TS, FREE + 8], 'a stack of level 3');
      assert.deepEqual(
        badStack(descriptor(0, 0xfffff, 0xc012), FREE + 8),
        [SS, FREE + 8],
        'a stack that is not present',
      );
      assert.deepEqual(badStack(undefined, 0x800), [TS, 0x800], 'a stack beyond the table');
      assert.deepEqual(
        badStack(descriptor(0, 0xfff, 0x4092), FREE + 8, 0x1010),
        [SS, FREE + 8],
        'a stack without room',
      );
    });

    test('a far return to an outer level takes its stack and leaves it no inner segments', () => {
      // RETF 8 from level 0: return address, 8 bytes, outer stack.
      guest.start('protected32', [0xca, 8, 0], { registers: { 'GS.access': 0xc0f3n, 'FS.access': 0xc09fn } });
      guest.write(TARGET, [0xcc]);
      for (const [i, v] of [TARGET, SELECTOR.userCode32, 0, 0, 0x7000, SELECTOR.userData].entries())
        guest.setNumber(PLACE.stack + i * 4, 4, v);
      assert.deepEqual(fault(), [3, undefined]);
      assert.equal(guest.number(PLACE.kernelStack - 8, 4), 0x7008n, 'released on the outer stack too');
      assert.deepEqual(
        ['DS', 'ES', 'FS', 'GS'].map((s) => guest.get(`${s}.selector`)),
        [0n, 0n, BigInt(SELECTOR.data), BigInt(SELECTOR.data)],
      );
    });

    test('a return goes to its own or an outer level, with a stack of that level', () => {
      const back = (cs: number, ss: number, cpl: 0 | 3 = 0): [number, number | undefined] => {
        guest.start('protected32', [0xcb], { cpl });
        guest.write(TARGET, [0xcc]);
        for (const [i, v] of [TARGET, cs, 0x7000, ss].entries()) guest.setNumber(PLACE.stack + i * 4, 4, v);
        return fault();
      };
      assert.deepEqual(back(SELECTOR.userCode32, SELECTOR.userData), [3, undefined]);
      assert.deepEqual(back(SELECTOR.code32, 0, 3), [GP, SELECTOR.code32], 'inwards');
      assert.deepEqual(back(0, 0), [GP, 0], 'null');
      assert.deepEqual(back(SELECTOR.code32 | 3, 0), [GP, SELECTOR.code32], 'RPL is not DPL');
      assert.deepEqual(back(SELECTOR.userCode32, SELECTOR.data), [GP, SELECTOR.data]);
      assert.deepEqual(back(SELECTOR.userCode32, 0), [GP, 0]);
    });

    test('IRET to a 16-bit stack leaves the upper half of ESP', () => {
      guest.start('protected32', [0xcf], { registers: { RSP: 0x12349000n, 'SS.base': 0xedcc0000n } });
      guest.setDescriptor(FREE, descriptor(0, 0xffff, 0xf2));
      guest.write(TARGET, [0xcc]);
      for (const [i, v] of [TARGET, SELECTOR.userCode32, 2, 0x7000, FREE | 3].entries())
        guest.setNumber(PLACE.stack + i * 4, 4, v);
      assert.equal(guest.run().vector, 3);
      assert.equal(guest.number(PLACE.kernelStack - 8, 4), 0x12347000n);
    });

    test('IRET in 64-bit mode always takes the stack, and null SS above level 3 alone', () => {
      const back = (cs: number, ss: number, ip: bigint): [number, number | undefined] => {
        guest.start('long', [0x48, 0xcf]);
        guest.write(TARGET, [0xcc]);
        for (const [i, v] of [ip, BigInt(cs), 2n, 0x7000n, BigInt(ss)].entries())
          guest.setNumber(PLACE.stack + i * 8, 8, v);
        return fault();
      };
      assert.deepEqual(back(SELECTOR.code64, 0, BigInt(TARGET)), [3, undefined]);
      assert.equal(guest.number(Number(guest.get('RSP')) + 24, 8), 0x7000n);
      assert.deepEqual(back(SELECTOR.userCode64, 3, BigInt(TARGET)), [GP, 0]);
      assert.deepEqual(back(SELECTOR.userCode32, SELECTOR.userData, BigInt(TARGET)), [3, undefined]);
      assert.deepEqual(back(SELECTOR.code64, 0, 1n << 47n), [GP, 0]);
    });

    test('a far return keeps the bases of segments that become null', () => {
      guest.start('long', [0x48, 0xcb], { registers: { 'GS.base': 0x18000n } });
      // MOV EAX, GS:[0].
      guest.write(TARGET, [0x65, 0x8b, 0x04, 0x25, ...dword(0), 0xcc]);
      guest.setNumber(PLACE.data, 4, 0x5eed);
      for (const [i, v] of [TARGET, SELECTOR.userCode64, 0x7000, SELECTOR.userData].entries())
        guest.setNumber(PLACE.stack + i * 8, 8, v);
      assert.equal(guest.run().vector, 3);
      assert.deepEqual([guest.get('GS.selector'), guest.get('RAX')], [0n, 0x5eedn]);
    });

    test('SYSENTER and SYSEXIT load flat segments from one register', () => {
      const msrs = { IA32_SYSENTER_CS: 0x8n, IA32_SYSENTER_EIP: BigInt(TARGET), IA32_SYSENTER_ESP: 0x7000n };
      guest.start('long', [0x0f, 0x34], { cpl: 3, flags: 0x200, registers: msrs });
      guest.write(TARGET, [0xcc]);
      const entered = guest.run();
      assert.deepEqual([entered.vector, entered.cs, entered.flags & 0x200], [3, 8, 0]);
      assert.equal(guest.get('SS.selector'), 0x10n);
      guest.start('long', [0x0f, 0x34], { cpl: 3 });
      assert.deepEqual(fault(), [GP, 0], 'without a selector');
      const registers = { IA32_SYSENTER_CS: 0x8n, RDX: BigInt(TARGET), RCX: 0x7000n };
      guest.start('long', [0x48, 0x0f, 0x35], { registers });
      guest.write(TARGET, [0xcc]);
      assert.deepEqual([guest.run().cs, guest.get('SS.selector')], [0x2b, 0n]);
      guest.start('long', [0x48, 0x0f, 0x35], { registers: { ...registers, RCX: 1n << 63n } });
      assert.deepEqual(fault(), [GP, 0]);
      guest.start('long', [0x0f, 0x35], { cpl: 3, registers });
      assert.deepEqual(fault(), [GP, 0]);
      guest.start('real', [0x0f, 0x34], { registers });
      assert.equal(guest.run().vector, GP);
    });

    test('SYSCALL and SYSRET', () => {
      const star = { IA32_STAR: (0x28n << 48n) | (8n << 32n), IA32_LSTAR: BigInt(TARGET), IA32_FMASK: 0x200n };
      guest.start('long', [0x0f, 0x05], { cpl: 3, flags: 0x10203, registers: star });
      guest.write(TARGET, [0xcc]);
      const entered = guest.run();
      assert.deepEqual([entered.vector, entered.cs, entered.flags & 0x201], [3, 8, 1]);
      assert.deepEqual([guest.get('RCX'), guest.get('R11')], [at(2), 0x203n]);
      // SYSRET to an address that is not canonical faults at level 0, with the user's stack still in place.
      guest.start('long', [0x48, 0x0f, 0x07], { registers: { ...star, RCX: 1n << 47n } });
      assert.deepEqual(fault(), [GP, 0]);
      assert.equal(guest.get('CS.selector'), BigInt(SELECTOR.code64));
      // To compatibility mode.
      guest.start('long', [0x0f, 0x07], { registers: { ...star, RCX: BigInt(TARGET), R11: 0x30202n } });
      guest.write(TARGET, [0xcc]);
      const back = guest.run();
      assert.deepEqual([back.vector, back.cs, back.flags & 0x30200], [3, 0x2b, 0x200]);
      // Neither without EFER.SCE nor outside 64-bit mode.
      guest.start('long', [0x0f, 0x05], { registers: { IA32_EFER: 0xd00n } });
      assert.equal(guest.run().vector, 6);
      guest.start('compatibility', [0x0f, 0x05], { cpl: 3, registers: star });
      assert.equal(guest.run().vector, 6);
    });

    test('an exception on the way to a handler becomes a double fault, and one more the end', () => {
      guest.start('protected32', [0x0f, 0x0b]);
      guest.setNumber(PLACE.idt + 6 * 8 + 5, 1, 0x0e);
      assert.deepEqual(fault(), [NP, 6 * 8 + 3], 'a benign one and #NP are two of their own');
      guest.start('protected32', [0x8e, 0xd8], { registers: { RAX: 0x1000n } });
      guest.setNumber(PLACE.idt + GP * 8 + 5, 1, 0x0e);
      assert.deepEqual(fault(), [DF, 0]);
      guest.start('protected32', [0x8e, 0xd8], { registers: { RAX: 0x1000n } });
      for (const v of [DF, GP]) guest.setNumber(PLACE.idt + v * 8 + 5, 1, 0x0e);
      assert.throws(() => guest.run(), /shutdown/);
    });

    test('INT n heeds the level of its gate, and its own faults have EXT clear', () => {
      guest.start('protected32', [0xcd, 0x40], { cpl: 3 });
      guest.setNumber(PLACE.idt + 0x40 * 8 + 5, 1, 0x8e);
      assert.deepEqual(fault(), [GP, 0x40 * 8 + 2]);
      guest.start('protected32', [0xcd, 0x40]);
      guest.setNumber(PLACE.idt + 0x40 * 8, 8, gate(SELECTOR.data, 0, 0x8e));
      assert.deepEqual(fault(), [GP, SELECTOR.data]);
      guest.start('protected32', [0xcd, 0x40], { registers: { 'IDTR.limit': BigInt(0x40 * 8 + 6) } });
      assert.deepEqual(fault(), [GP, 0x40 * 8 + 2]);
    });

    test('the interrupt stack table and the alignment of frames', () => {
      guest.start('long', [], { registers: { RSP: BigInt(PLACE.stack - 5) } });
      guest.run();
      assert.equal(guest.get('RSP'), BigInt(PLACE.stack - 16 - 40));
      guest.start('long', []);
      guest.setNumber(PLACE.idt + 3 * 16 + 4, 1, 7);
      guest.setNumber(PLACE.tss + 0x24 + 6 * 8, 8, 0x7000);
      guest.run();
      assert.equal(guest.get('RSP'), 0x7000n - 40n);
    });
  });
}
