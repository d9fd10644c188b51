import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dword } from '../support/flat-guest.ts';
import { PLACE, SELECTOR, SYSTEM_ENGINES, SystemGuest } from '../support/system-guest.ts';

const NOP = 0x90;
const TF = 0x100;
const RF = 0x10000;
const DB = 1;
const DR6 = { fixed: 0xffff0ff0n, BD: 1n << 13n, BS: 1n << 14n, BT: 1n << 15n };
/** DR7 with breakpoint `n` enabled: kind 0 execute, 1 write, 2 ports, 3 read and write. */
const dr7 = (n: number, kind: number, length: number): bigint =>
  0x400n | (2n << BigInt(n * 2)) | (BigInt(kind | ((length === 8 ? 2 : length - 1) << 2)) << BigInt(16 + n * 4));
const at = (offset: number): bigint => BigInt(PLACE.code + offset);
const ABSOLUTE = (opcode: number): number[] => [opcode, 0x04, 0x25, ...dword(PLACE.data)];
const storeByte = [0xc6, ...ABSOLUTE(0).slice(1), 1];
const loadDword = ABSOLUTE(0x8b);

for (const [name, make] of Object.entries(SYSTEM_ENGINES)) {
  describe(`debugging on ${name}`, () => {
    const guest = new SystemGuest(make());
    const dr6 = (): bigint => guest.get('DR6');

    test('an instruction breakpoint is a fault whose frame has RF clear, and RF lets it pass', () => {
      guest.start('long', [NOP, NOP, NOP], { registers: { DR2: at(1), DR7: dr7(2, 0, 1) } });
      const hit = guest.run();
      assert.deepEqual([hit.vector, hit.ip, hit.flags & RF], [DB, at(1), 0]);
      assert.equal(dr6(), DR6.fixed | 4n);
      // As a handler does it: IRET with RF set goes past the breakpoint.
      const frame = [SELECTOR.data, PLACE.stack, RF | 2, SELECTOR.code64, PLACE.code + 1];
      guest.start('long', [NOP, NOP, NOP], { registers: { DR2: at(1), DR7: dr7(2, 0, 1) } });
      guest.write(0x2000, [0x48, 0xcf]);
      for (const [i, word] of [...frame].reverse().entries()) guest.setNumber(0x7000 + i * 8, 8, word);
      guest.set({ RIP: 0x2000n, RSP: 0x7000n });
      const passed = guest.run();
      assert.deepEqual([passed.vector, passed.ip, passed.flags & RF], [3, at(4), 0]);
    });

    test('a data breakpoint is a trap behind the access, for the bytes and the kind that it names', () => {
      const cases = [
        { code: storeByte, kind: 1, length: 1, offset: 0, hits: true },
        { code: storeByte, kind: 3, length: 1, offset: 0, hits: true },
        { code: loadDword, kind: 1, length: 4, offset: 0, hits: false },
        { code: loadDword, kind: 3, length: 1, offset: 3, hits: true },
        { code: loadDword, kind: 3, length: 1, offset: 4, hits: false },
        { code: storeByte, kind: 1, length: 8, offset: -7, hits: false },
        { code: storeByte, kind: 1, length: 8, offset: 7, hits: true },
      ];
      for (const { code, kind, length, offset, hits } of cases) {
        const registers = { DR0: BigInt(PLACE.data + offset), DR7: dr7(0, kind, length) };
        guest.start('long', [...code, NOP], { registers });
        const outcome = guest.run();
        const label = JSON.stringify({ kind, length, offset });
        assert.deepEqual([outcome.vector, outcome.ip], hits ? [DB, at(code.length)] : [3, at(code.length + 2)], label);
        assert.equal(dr6(), DR6.fixed | (hits ? 1n : 0n), label);
      }
    });

    test('an access that faults meets no breakpoint', () => {
      const registers = { DR0: BigInt(PLACE.data), DR7: dr7(0, 3, 4), RAX: 1n << 60n };
      // MOV ECX, [data]; MOV ECX, [RAX]: only the first is complete. Then an exchange whose second operand cannot be read.
      guest.start('long', [0xff, 0x30, ...loadDword], { registers });
      assert.equal(guest.run().vector, 13);
      assert.equal(dr6(), DR6.fixed);
    });

    test('a port breakpoint is a trap where CR4.DE says so', () => {
      const registers = { DR3: 0x80n, DR7: dr7(3, 2, 1) };
      const code = [0xe6, 0x80, NOP];
      guest.start('long', code, { registers: { ...registers, CR4: 0x28n } });
      const hit = guest.run();
      assert.deepEqual([hit.vector, hit.ip, dr6()], [DB, at(2), DR6.fixed | 8n]);
      assert.deepEqual(guest.written, [[0x80, 0]]);
      guest.start('long', code, { registers });
      assert.equal(guest.run().vector, 3);
    });

    test('general detect guards the debug registers and is over in the handler', () => {
      // MOV RAX, DR0.
      guest.start('long', [0x0f, 0x21, 0xc0], { registers: { DR7: 0x2400n } });
      const hit = guest.run();
      assert.deepEqual([hit.vector, hit.ip, hit.flags & RF], [DB, at(0), RF]);
      assert.deepEqual([dr6(), guest.get('DR7')], [DR6.fixed | DR6.BD, 0x400n]);
    });

    test('DR4 and DR5 are other names unless CR4.DE, and values over 32 bits are refused', () => {
      // MOV DR5, RAX; MOV RBX, DR7.
      const code = [0x0f, 0x23, 0xe8, 0x0f, 0x21, 0xfb];
      guest.start('long', code, { registers: { RAX: 0x2400n } });
      assert.equal(guest.run().vector, DB, 'DR5 switched general detect on');
      guest.start('long', code, { registers: { RAX: 0x700n } });
      assert.equal(guest.run().vector, 3);
      assert.equal(guest.get('RBX'), 0x700n);
      guest.start('long', code, { registers: { CR4: 0x28n } });
      assert.equal(guest.run().vector, 6);
      guest.start('long', code, { registers: { RAX: 1n << 32n } });
      assert.deepEqual(guest.run().code, 0);
    });

    test('TF traps behind every instruction, and behind every turn of a repeated one', () => {
      guest.start('long', [NOP, NOP], { flags: TF });
      const first = guest.run();
      assert.deepEqual([first.vector, first.ip, first.flags & TF], [DB, at(1), TF]);
      assert.equal(dr6(), DR6.fixed | DR6.BS);
      // REP STOSB.
      guest.start('long', [0xf3, 0xaa, NOP], { flags: TF, registers: { RCX: 2n, RDI: BigInt(PLACE.data) } });
      assert.deepEqual([guest.run().ip, guest.get('RCX')], [at(0), 1n]);
    });

    test('a load of SS holds traps off until the next instruction is complete', () => {
      // MOV SS, AX; NOP; NOP.
      const registers = { RAX: BigInt(SELECTOR.data) };
      guest.start('long', [0x8e, 0xd0, NOP, NOP], { flags: TF, registers });
      assert.equal(guest.run().ip, at(3));
      guest.start('protected32', [0x17, NOP, NOP], { flags: TF });
      guest.setNumber(PLACE.stack, 4, SELECTOR.data);
      assert.equal(guest.run().ip, at(2));
    });

    test('software interrupts and faults forget the single step', () => {
      guest.start('long', [0xcd, 0x40], { flags: TF });
      assert.equal(guest.run().vector, 0x40);
      assert.equal(dr6(), DR6.fixed);
      guest.start('long', [0x0f, 0x0b], { flags: TF });
      const fault = guest.run();
      assert.deepEqual([fault.vector, fault.flags & (RF | TF)], [6, RF | TF]);
      assert.equal(dr6(), DR6.fixed);
    });

    test('INT1 is a debug trap that no gate stops and DR6 does not show', () => {
      guest.start('long', [0xf1], { cpl: 3 });
      // The gate is for level 0 alone.
      guest.setNumber(PLACE.idt + 16 + 5, 1, 0x8e);
      const outcome = guest.run();
      assert.deepEqual([outcome.vector, outcome.ip, dr6()], [DB, at(1), DR6.fixed]);
    });

    test('SYSCALL and SYSRET trap by TF as it is behind them', () => {
      const star = { IA32_STAR: (0x28n << 48n) | (8n << 32n), IA32_LSTAR: 0x2000n };
      guest.start('long', [0x0f, 0x05], { cpl: 3, flags: TF, registers: { ...star, IA32_FMASK: 0x100n } });
      guest.write(0x2000, [NOP, 0xcc]);
      assert.deepEqual([guest.run().vector, dr6()], [3, DR6.fixed]);
      // 64-bit SYSRET that sets TF goes no instruction further.
      guest.start('long', [0x48, 0x0f, 0x07], { registers: { ...star, RCX: 0x3000n, R11: BigInt(TF | 2) } });
      guest.write(0x3000, [NOP, NOP]);
      const outcome = guest.run();
      assert.deepEqual([outcome.vector, outcome.ip, dr6()], [DB, 0x3000n, DR6.fixed | DR6.BS]);
    });
  });

  describe(`alignment checks on ${name}`, () => {
    const guest = new SystemGuest(make());
    const AC = 0x40000;
    const AM = 1n << 18n;
    const misaligned = [0x8b, 0x04, 0x25, ...dword(PLACE.data + 1)];
    const run = (cpl: 0 | 3, flags: number, cr0: bigint, code: readonly number[]): [number, number | undefined] => {
      guest.start('long', code, { cpl, flags, registers: { CR0: 0x80000011n | cr0 } });
      const { vector, code: error } = guest.run();
      return [vector, error];
    };

    test('#AC(0) takes level 3, AC and CR0.AM together', () => {
      assert.deepEqual(run(3, AC, AM, misaligned), [17, 0]);
      assert.deepEqual(run(0, AC, AM, misaligned), [3, undefined]);
      assert.deepEqual(run(3, 0, AM, misaligned), [3, undefined]);
      assert.deepEqual(run(3, AC, 0n, misaligned), [3, undefined]);
    });
    test('aligned accesses, bytes and 16 bytes pass', () => {
      assert.deepEqual(run(3, AC, AM, [0x8b, 0x04, 0x25, ...dword(PLACE.data + 4)]), [3, undefined]);
      assert.deepEqual(run(3, AC, AM, [0x8a, 0x04, 0x25, ...dword(PLACE.data + 3)]), [3, undefined]);
      assert.deepEqual(run(3, AC, AM, [0x66, ...misaligned]), [17, 0]);
      assert.deepEqual(run(3, AC, AM, [0x66, 0x8b, 0x04, 0x25, ...dword(PLACE.data + 2)]), [3, undefined]);
    });
    test('CMPXCHG8B accesses eight bytes', () => {
      const exchange = (at: number): number[] => [0x0f, 0xc7, 0x0c, 0x25, ...dword(at)];
      assert.deepEqual(run(3, AC, AM, exchange(PLACE.data + 8)), [3, undefined]);
      assert.deepEqual(run(3, AC, AM, exchange(PLACE.data + 4)), [17, 0]);
      assert.deepEqual(run(3, 0, AM, exchange(PLACE.data + 4)), [3, undefined]);
    });
    test('POPF switches them on', () => {
      // PUSH imm32; POPFQ; MOV EAX, [data + 1].
      assert.deepEqual(run(3, 0, AM, [0x68, ...dword(AC | 2), 0x9d, ...misaligned]), [17, 0]);
    });
  });
}
