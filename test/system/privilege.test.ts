import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dword } from '../support/flat-guest.ts';
import { descriptor, gate, type Mode, PLACE, SELECTOR, SYSTEM_ENGINES, SystemGuest } from '../support/system-guest.ts';

const [UD, TS, NP, GP] = [6, 10, 11, 13];
const IF = 0x200;
const IOPL3 = 0x3000;
const NT = 0x4000;
const at = (offset: number): bigint => BigInt(PLACE.code + offset);
const memory = (modrm: number): number[] => [modrm | 5, ...dword(PLACE.data)];

/** Instructions of level 0 (SDM vol. 3 §5.9), the same bytes in 32- and 64-bit mode. */
const PRIVILEGED: Readonly<Record<string, readonly number[]>> = {
  HLT: [0xf4],
  CLTS: [0x0f, 0x06],
  INVD: [0x0f, 0x08],
  WBINVD: [0x0f, 0x09],
  RDMSR: [0x0f, 0x32],
  WRMSR: [0x0f, 0x30],
  'MOV from CR0': [0x0f, 0x20, 0xc0],
  'MOV to CR0': [0x0f, 0x22, 0xc0],
  'MOV from DR7': [0x0f, 0x21, 0xf8],
  'MOV to DR0': [0x0f, 0x23, 0xc0],
  LGDT: [0x0f, 0x01, ...memory(0x10)],
  LIDT: [0x0f, 0x01, ...memory(0x18)],
  LMSW: [0x0f, 0x01, 0xf0],
  INVLPG: [0x0f, 0x01, ...memory(0x38)],
  LLDT: [0x0f, 0x00, 0xd0],
  LTR: [0x0f, 0x00, 0xd8],
  SYSEXIT: [0x0f, 0x35],
  RDPMC: [0x0f, 0x33],
};
/** What IOPL decides outside virtual-8086 mode, and inside it (SDM vol. 3 §20.2.7). */
const GUARDED: Readonly<Record<string, readonly number[]>> = { CLI: [0xfa], STI: [0xfb] };
const GUARDED_VIRTUAL: Readonly<Record<string, readonly number[]>> = {
  ...GUARDED,
  PUSHF: [0x9c],
  POPF: [0x9d],
  'INT n': [0xcd, 3],
  IRET: [0xcf],
};

for (const [name, make] of Object.entries(SYSTEM_ENGINES)) {
  describe(`privilege on ${name}`, () => {
    const guest = new SystemGuest(make());
    const run = (mode: Mode, code: readonly number[], cpl: 0 | 3, flags = 0): [number, number | undefined] => {
      guest.start(mode, code, { cpl, flags });
      const { vector, code: error } = guest.run();
      return [vector, error];
    };

    test('instructions of level 0 raise #GP(0) at level 3 of every mode', () => {
      for (const mode of ['protected32', 'long', 'virtual8086'] as const) {
        for (const [instruction, code] of Object.entries(PRIVILEGED)) {
          // No descriptors in virtual-8086 mode, and no memory beyond 64 KiB.
          if (mode === 'virtual8086' && ['LLDT', 'LTR'].includes(instruction)) continue;
          assert.deepEqual(run(mode, code, 3, IOPL3), [GP, 0], `${instruction} in ${mode}`);
          assert.equal(guest.number(Number(guest.get('RSP')) + (mode === 'long' ? 8 : 4), 4), at(0), instruction);
        }
      }
    });

    test('IOPL guards the interrupt flag, and in virtual-8086 mode what shows or leaves it', () => {
      for (const [instruction, code] of Object.entries(GUARDED)) {
        assert.deepEqual(run('protected32', code, 3), [GP, 0], instruction);
        assert.deepEqual(run('protected32', code, 3, IOPL3), [3, undefined], instruction);
      }
      for (const [instruction, code] of Object.entries(GUARDED_VIRTUAL)) {
        assert.deepEqual(run('virtual8086', code, 3), [GP, 0], instruction);
      }
      for (const instruction of ['CLI', 'STI', 'PUSHF', 'INT n'])
        assert.deepEqual(run('virtual8086', GUARDED_VIRTUAL[instruction], 3, IOPL3), [3, undefined], instruction);
      // INT3 and INTO do not ask for IOPL; gates of level 0 still do not open.
      assert.deepEqual(run('virtual8086', [], 3), [3, undefined]);
    });

    test('POPF changes IF and IOPL as the level allows, without a fault', () => {
      const pop = (cpl: 0 | 3, flags: number): number => {
        // PUSH imm32; POPF.
        guest.start('protected32', [0x68, ...dword(IF | IOPL3 | 2), 0x9d], { cpl, flags });
        return guest.run().flags & (IF | IOPL3);
      };
      assert.equal(pop(0, 0), IF | IOPL3);
      assert.equal(pop(3, 0), 0);
      assert.equal(pop(3, IOPL3), IF | IOPL3);
    });

    test('the permission bitmap opens single ports, and all of those that an access covers', () => {
      const out = (mode: Mode, port: number, wide: boolean, closed: readonly number[], flags = 0): number => {
        guest.start(mode, [wide ? 0xe7 : 0xe6, port], { cpl: 3, flags });
        guest.write(PLACE.tss + 0x68, new Array(0x20).fill(0));
        for (const p of closed) guest.setNumber(PLACE.tss + 0x68 + (p >> 3), 1, 1 << (p & 7));
        return guest.run().vector;
      };
      assert.equal(out('protected32', 0x80, false, []), 3);
      assert.deepEqual(guest.written, [[0x80, 0]]);
      assert.equal(out('protected32', 0x80, false, [0x80]), GP);
      assert.deepEqual(guest.written, []);
      assert.equal(out('protected32', 0x80, false, [0x81]), 3);
      assert.equal(out('protected32', 0x80, true, [0x83]), GP);
      assert.equal(out('protected32', 0x7e, true, [0x81]), GP, 'over two bytes of the bitmap');
      assert.equal(out('protected32', 0x80, false, [0x80], IOPL3), 3);
      assert.equal(out('virtual8086', 0x80, false, [0x80], IOPL3), GP, 'virtual-8086 mode asks the bitmap always');
      assert.equal(out('virtual8086', 0x80, false, []), 3);
      assert.equal(out('long', 0x80, false, [0x80]), GP);
      // A bitmap that ends early closes what lies beyond.
      guest.start('protected32', [0xe6, 0x80], { cpl: 3, registers: { 'TR.limit': 0x78n } });
      guest.write(PLACE.tss + 0x68, new Array(0x20).fill(0));
      assert.equal(guest.run().vector, GP);
    });

    test('virtual-8086 mode: to a handler at level 0 and back', () => {
      guest.start('virtual8086', [0xcd, 0x40, 0x40], { flags: IOPL3 | IF, registers: { 'GS.selector': 0x1234n } });
      // The handler: MOV EAX, DS; IRETD.
      guest.write(PLACE.handlers + 0x40 * 16, [0x8c, 0xd8, 0xcf]);
      const outcome = guest.run();
      assert.deepEqual([outcome.vector, outcome.flags & 0x20000], [3, 0x20000]);
      assert.equal(guest.get('RAX'), 1n, 'DS was null in the handler, INC AX came behind');
      const frame = Number(guest.get('RSP'));
      assert.equal(guest.number(frame + 32, 4), 0x1234n, 'GS');
    });
  });

  describe(`interrupts on ${name}`, () => {
    const guest = new SystemGuest(make());
    test('an interrupt comes between the instructions that IF allows', () => {
      // STI; NOP; CLI; NOP.
      guest.start('long', [0xfb, 0x90, 0xfa, 0x90]);
      guest.lines.vector = 0x40;
      guest.vcpu.kick();
      const outcome = guest.run();
      assert.deepEqual([outcome.vector, outcome.ip], [0x40, at(2)]);
      // STI; CLI leaves no gap.
      guest.start('long', [0xfb, 0xfa, 0x90]);
      guest.lines.vector = 0x40;
      guest.vcpu.kick();
      assert.equal(guest.run().vector, 3);
      guest.lines.vector = -1;
    });

    test('STI; HLT sleeps and wakes behind the HLT', () => {
      guest.start('long', [0xfb, 0xf4, 0x90]);
      assert.equal(guest.vcpu.run(100).kind, 'halted');
      assert.equal(guest.vcpu.run(100).kind, 'halted', 'and stays asleep');
      guest.lines.vector = 0x40;
      guest.vcpu.kick();
      const outcome = guest.run();
      assert.deepEqual([outcome.vector, outcome.ip], [0x40, at(2)]);
    });

    test('no interrupt and no NMI comes behind a load of SS', () => {
      // MOV SS, [device], which asserts a line; NOP; JMP to the next; NOP.
      const code = [0x8e, 0x14, 0x25, ...dword(PLACE.device), 0x90, 0xeb, 0, 0x90];
      for (const line of ['nmi', 'vector'] as const) {
        guest.readDevice = () => {
          if (line === 'nmi') guest.lines.nmi = true;
          else guest.lines.vector = 0x40;
          guest.vcpu.kick();
          return SELECTOR.data;
        };
        guest.start('long', code, { flags: IF });
        const outcome = guest.run();
        assert.equal(outcome.vector, line === 'nmi' ? 2 : 0x40);
        assert.equal(outcome.ip >= at(8), true, `${line} at ${outcome.ip}`);
      }
    });

    test('a second NMI waits for IRET', () => {
      guest.start('long', [0x90, 0x90]);
      // The handler: OUT 0x80, AL, where another comes; OUT 0x81, AL; IRETQ.
      guest.write(PLACE.handlers + 2 * 16, [0xe6, 0x80, 0xe6, 0x81, 0x48, 0xcf]);
      guest.lines.nmi = true;
      let more = 1;
      guest.wrote = (port) => {
        if (port === 0x80 && more-- > 0) {
          guest.lines.nmi = true;
          guest.vcpu.kick();
        }
      };
      assert.equal(guest.run().vector, 3);
      assert.deepEqual(
        guest.written.map(([port]) => port),
        [0x80, 0x81, 0x80, 0x81],
      );
    });
  });

  describe(`tasks on ${name}`, () => {
    const guest = new SystemGuest(make());
    const NEW = SELECTOR.free;
    const TASK_CODE = 0x3000;
    /** A TSS in memory and its descriptor. */
    const task = (wide: boolean, fields: Readonly<Record<string, number>> = {}): void => {
      const f = {
        ip: TASK_CODE,
        flags: 2,
        esp: 0x7000,
        cs: SELECTOR.code32,
        ss: SELECTOR.data,
        ds: SELECTOR.data,
        ...fields,
      };
      const base = PLACE.otherTss;
      const put = (offset: number, bytes: 2 | 4, value: number): void => guest.setNumber(base + offset, bytes, value);
      if (wide) {
        for (const [offset, value] of [
          [0x20, f.ip], [0x24, f.flags], [0x28, 0xaaaa], [0x38, f.esp], [0x48, SELECTOR.data], [0x4c, f.cs], [0x50, f.ss], [0x54, f.ds],
        ]) // biome-ignore format: a table
          put(offset, 4, value);
        put(0x60, 2, fields.ldt ?? 0);
        put(0x64, 2, fields.trap ?? 0);
      } else {
        for (const [offset, value] of [
          [0xe, f.ip], [0x10, f.flags], [0x12, 0xaaaa], [0x1a, f.esp], [0x22, SELECTOR.data], [0x24, f.cs], [0x26, f.ss], [0x28, f.ds],
        ]) // biome-ignore format: a table
          put(offset, 2, value);
      }
      guest.setDescriptor(NEW, descriptor(base, fields.limit ?? 0x67, fields.access ?? (wide ? 0x89 : 0x81)));
      guest.write(TASK_CODE, [0xcc]);
    };
    const transfer = (opcode: number, selector: number = NEW): number[] => [
      opcode,
      ...dword(0),
      selector & 0xff,
      selector >> 8,
    ];
    const [JMP, CALL] = [0xea, 0x9a];
    const fault = (): [number, number | undefined] => {
      const { vector, code } = guest.run();
      return [vector, code];
    };

    test('CALL to a TSS nests, IRET returns; 32 and 16 bits', () => {
      for (const wide of [true, false]) {
        guest.start('protected32', [...transfer(CALL), 0x90], { registers: { RBX: 0x1234n } });
        task(wide);
        guest.write(TASK_CODE, [0xf4]);
        assert.throws(() => guest.run(), /halted at 3000/);
        assert.deepEqual([guest.get('RAX') & 0xffffn, guest.get('RFLAGS') & BigInt(NT)], [0xaaaan, BigInt(NT)]);
        assert.equal(guest.get('TR.selector'), BigInt(NEW));
        assert.equal(guest.get('CR0') & 8n, 8n);
        assert.equal(guest.number(PLACE.otherTss, 2), BigInt(SELECTOR.tss), 'the link');
        assert.equal(guest.number(PLACE.gdt + SELECTOR.tss + 5, 1), 0x8bn, 'the caller stays busy');
        assert.equal(guest.number(PLACE.gdt + NEW + 5, 1), wide ? 0x8bn : 0x83n);
        assert.deepEqual([guest.number(PLACE.tss + 0x20, 4), guest.number(PLACE.tss + 0x34, 4)], [at(7), 0x1234n]);
        // And back.
        guest.start('protected32', [...transfer(CALL), 0x90], { registers: { RBX: 0x1234n } });
        task(wide);
        guest.write(TASK_CODE, [0xcf]);
        assert.deepEqual(
          [guest.run().ip, guest.get('RBX'), guest.get('TR.selector')],
          [at(9), 0x1234n, BigInt(SELECTOR.tss)],
        );
        assert.equal(guest.number(PLACE.gdt + NEW + 5, 1), wide ? 0x89n : 0x81n);
      }
    });

    test('JMP to a TSS, and through a task gate, frees the old one', () => {
      for (const gated of [false, true]) {
        const selector = gated ? NEW + 8 : NEW;
        guest.start('protected32', transfer(JMP, selector));
        task(true);
        guest.setDescriptor(NEW + 8, gate(NEW, 0, 0x85));
        assert.deepEqual(fault(), [3, undefined]);
        assert.equal(guest.number(PLACE.gdt + SELECTOR.tss + 5, 1), 0x89n);
        assert.equal(guest.get('RFLAGS') & BigInt(NT), 0n);
      }
    });

    test('a TSS that cannot be switched to is told by the old task', () => {
      const refused = (
        fields: Readonly<Record<string, number>>,
        selector: number = NEW,
      ): [number, number | undefined] => {
        guest.start('protected32', transfer(JMP, selector));
        task(true, fields);
        const result = fault();
        assert.equal(guest.get('TR.selector'), BigInt(SELECTOR.tss));
        return result;
      };
      assert.deepEqual(refused({ access: 0x8b }), [GP, NEW], 'busy');
      assert.deepEqual(refused({ access: 0x09 }), [NP, NEW], 'not present');
      assert.deepEqual(refused({ limit: 0x66 }), [TS, NEW], 'too short');
      guest.start('protected32', [0xcf], { flags: NT });
      guest.setNumber(PLACE.tss, 2, NEW);
      task(true);
      assert.deepEqual(fault(), [TS, NEW], 'a return to a task that is not busy');
    });

    test('what is wrong with the new state is told by the new task', () => {
      const told = (fields: Readonly<Record<string, number>>): [number, number | undefined] => {
        guest.start('protected32', transfer(JMP));
        task(true, fields);
        guest.setDescriptor(NEW + 8, descriptor(0, 0xfffff, 0xc012));
        const result = fault();
        assert.equal(guest.get('TR.selector'), BigInt(NEW));
        return result;
      };
      assert.throws(() => told({ ldt: SELECTOR.data }), /shutdown/, 'LDTR, while there is no stack for a handler yet');
      assert.deepEqual(told({ ds: NEW + 8 }), [NP, NEW + 8], 'DS that is not present');
      assert.deepEqual(told({ ds: 0x800 }), [TS, 0x800], 'DS beyond the table');
    });

    test('the trap bit of a TSS is a debug exception in the new task', () => {
      guest.start('protected32', transfer(JMP));
      task(true, { trap: 1 });
      const outcome = guest.run();
      assert.deepEqual([outcome.vector, outcome.ip, guest.get('DR6')], [1, BigInt(TASK_CODE), 0xffff8ff0n]);
    });

    test('an exception through a task gate hands its error code to the new task', () => {
      guest.start('protected32', [0x8e, 0xd8], { registers: { RAX: 0x1000n } });
      task(true);
      guest.write(TASK_CODE, [0xf4]);
      guest.setNumber(PLACE.idt + GP * 8, 8, gate(NEW, 0, 0x85));
      assert.throws(() => guest.run(), /halted at 3000/);
      assert.deepEqual([guest.get('RSP'), guest.number(0x6ffc, 4)], [0x6ffcn, 0x1000n]);
      assert.equal(guest.number(PLACE.tss + 0x24, 4) & 0x10000n, 0x10000n, 'the old task resumes');
    });

    test('there are no task switches in IA-32e mode', () => {
      guest.start('compatibility', transfer(JMP));
      task(true);
      assert.deepEqual(fault(), [GP, NEW]);
      guest.start('long', [0xcf], { flags: NT });
      assert.deepEqual(fault(), [GP, 0]);
      guest.start('virtual8086', [0x0f, 0x00, 0xd8]);
      assert.equal(guest.run().vector, UD);
    });
  });
}
