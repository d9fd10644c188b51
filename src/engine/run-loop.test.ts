import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dword, ENGINES, FlatGuest, listeningBus, Wire } from '../../test/support/flat-guest.ts';
import { walk } from '../isa/ir/statements.ts';
import type { Statement } from '../isa/ir/types.ts';
import { bodyOf } from '../isa/x86/body.ts';
import { ENCODINGS } from '../isa/x86/instruction-set.ts';
import { OVERSHOOT } from './run-loop.ts';

const INTERRUPT = 0x20;
const HANDLER = 0x3000;
const IDT = 0x2000;
const GDT = 0x2800;
const DEVICE = 0x180000;
/** Counts rounds in EBX; every 256th writes a device, every 64th stores into code, on the way through calls and a repeated instruction. */
const busy = (where: 'port' | 'memory'): number[] => [
  0x43, // 1000: INC EBX
  ...[0x80, 0xfb, 0x00], // CMP BL, 0
  ...(where === 'port'
    ? // JNE +2; OUT 0x10, AL.
      [0x75, 0x02, 0xe6, 0x10]
    : // JNE +5; MOV [DEVICE], AL.
      [0x75, 0x05, 0xa2, ...dword(DEVICE)]),
  ...[0x8d, 0x04, 0x9b], // LEA EAX, [EBX + EBX*4]
  ...[0xf6, 0xc3, 0x3f], // TEST BL, 0x3F
  ...[0x75, 0x05], // JNE +5
  ...[0xa2, ...dword(0x101a)], // MOV [0x101A], AL: in the constant below
  ...[0x81, 0xc2, ...dword(5)], // ADD EDX, constant
  ...[0xb9, ...dword(0x50)], // MOV ECX, 0x50
  ...[0xbf, ...dword(0x4000)], // MOV EDI, 0x4000
  ...[0xf3, 0xaa], // REP STOSB
  ...[0x9c, 0xfa, 0x9d], // PUSHFD; CLI; POPFD
  ...[0xfa, 0x90, 0xfb], // CLI; NOP; STI
  ...[0x90, 0x90],
  ...[0xe8, ...dword(0x2)], // CALL +2
  ...[0xeb, 0x03], // JMP +3
  ...[0x01, 0xd6, 0xc3], // ADD ESI, EDX; RET
  ...[0xe9], // JMP 1000
];
function program(where: 'port' | 'memory'): number[] {
  const code = busy(where);
  return [...code, ...dword(-(code.length + 4))];
}
/** PUSH EDX; INC EBP; POP EDX; IRETD. */
const ON_INTERRUPT = [0x52, 0x45, 0x5a, 0xcf];

function busyGuest(make: (typeof ENGINES)[string], where: 'port' | 'memory'): { guest: FlatGuest; kicks: number[] } {
  const wire = new Wire(INTERRUPT);
  const kicks: number[] = [];
  const heard = listeningBus(() => {
    kicks.push(guest.vcpu.retired());
    wire.asserted = true;
    guest.vcpu.kick();
  });
  const bus = where === 'port' ? { ports: heard } : { mmio: heard };
  const guest: FlatGuest = new FlatGuest(make(), program(where), { ...bus, interrupts: wire, exactStops: true });
  const { vcpu } = guest;
  guest.write(HANDLER, ON_INTERRUPT);
  guest.write(GDT + 8, [0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0, 0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0]);
  guest.write(IDT + INTERRUPT * 8, [HANDLER & 0xff, HANDLER >> 8, 8, 0, 0, 0x8e, 0, 0]);
  vcpu.setRegister('GDTR.base', BigInt(GDT));
  vcpu.setRegister('GDTR.limit', 0x17n);
  vcpu.setRegister('IDTR.base', BigInt(IDT));
  vcpu.setRegister('IDTR.limit', 0x7ffn);
  vcpu.setRegister('RFLAGS', 0x202n);
  return { guest, kicks };
}

test('where stops are exact, every engine and tier stops behind the same instructions', () => {
  for (const where of ['port', 'memory'] as const) stopsAlike(where);
});

function stopsAlike(where: 'port' | 'memory'): void {
  const outcomes = Object.entries(ENGINES).map(([name, make]) => {
    const { guest, kicks } = busyGuest(make, where);
    const { vcpu } = guest;
    const stops: unknown[] = [];
    for (const budget of [1, 2, 3, 1000, 7, 20000, 513, 64, 40000, 9, 1]) {
      const end = vcpu.retired() + budget;
      while (vcpu.retired() < end) {
        const calls = kicks.length;
        const [before, left] = [vcpu.retired(), end - vcpu.retired()];
        assert.deepEqual(vcpu.run(left), { kind: 'budgetSpent' }, name);
        if (kicks.length === calls) assert.equal(vcpu.retired() - before, left, name);
        else assert(vcpu.retired() - kicks[calls] < OVERSHOOT + 100, name);
        stops.push({ retired: vcpu.retired(), ...guest.registers() });
      }
    }
    assert(vcpu.register('RBP') > 5n, name);
    return { name, stops, kicks, memory: [...guest.read(0x1000, 0x8000)] };
  });
  for (const { name, ...outcome } of outcomes.slice(1)) {
    const { name: _, ...expected } = outcomes[0];
    assert.deepEqual(outcome, expected, name);
  }
}

test('what devices do for ports and MSRs comes at the end of a block', () => {
  const BLOCK_END = new Set(['portRead', 'portWrite', 'msrRead', 'msrWrite', 'taskPriorityWrite']);
  const asks = (body: readonly Statement[], seen = new Set<unknown>()): boolean =>
    [...walk(body)].some((s) => {
      if (s.kind !== 'call' || seen.has(s.target)) return false;
      seen.add(s.target);
      return s.target.kind === 'external' ? BLOCK_END.has(s.target.name) : asks(s.target.body(), seen);
    });
  const parameters = { operandSize: 32, addressSize: 32, memory: false, segmented: false, rep: 'none' } as const;
  let found = 0;
  for (const encoding of ENCODINGS) {
    if (!asks(bodyOf(encoding, { ...parameters, long: false, memory: encoding.form === 'mem' }))) continue;
    found++;
    assert(encoding.definition.endsBlock, encoding.definition.name);
  }
  // IN, OUT, INS, OUTS, RDMSR, WRMSR, MOV to CR8.
  assert(found > 10);
});

test('exceptions that come to no end stop behind the same instruction', () => {
  const ends = Object.entries(ENGINES).map(([name, make]) => {
    // INC EBX; UD2, with a handler that is another UD2.
    const guest = new FlatGuest(make(), [0x43, 0x0f, 0x0b], { exactStops: true });
    guest.write(HANDLER, [0x0f, 0x0b]);
    guest.write(GDT + 8, [0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0]);
    guest.write(IDT + 6 * 8, [HANDLER & 0xff, HANDLER >> 8, 8, 0, 0, 0x8e, 0, 0]);
    guest.vcpu.setRegister('GDTR.base', BigInt(GDT));
    guest.vcpu.setRegister('GDTR.limit', 0xfn);
    guest.vcpu.setRegister('IDTR.base', BigInt(IDT));
    guest.vcpu.setRegister('IDTR.limit', 0x7ffn);
    guest.vcpu.setRegister('RSP', 0x80000n);
    assert.equal(guest.vcpu.run(2000).kind, 'budgetSpent', name);
    return guest.vcpu.register('RSP');
  });
  assert.deepEqual(new Set(ends), new Set([0x80000n - 2000n * 12n]));
});

for (const [name, make] of Object.entries(ENGINES)) {
  describe(name, () => {
    for (const exactStops of [false, true]) {
      test(`a trace sees each instruction${exactStops ? ' where stops are exact' : ''}`, () => {
        const seen: bigint[] = [];
        // MOV ECX, 3; L: NOP; NOP; DEC ECX; JNE L; HLT.
        const code = [0xb9, ...dword(3), 0x90, 0x90, 0x49, 0x75, 0xfb, 0xf4];
        const trace = { instruction: () => seen.push(guest.vcpu.register('RIP')) };
        const guest: FlatGuest = new FlatGuest(make(), code, { exactStops, trace });
        assert.equal(guest.run(), 'halted');
        const round = [0x1005n, 0x1006n, 0x1007n, 0x1008n];
        assert.deepEqual(seen, [0x1000n, ...round, ...round, ...round, 0x100an]);
      });
    }

    test('an instruction that overwrites the next one is one step', () => {
      const seen: bigint[] = [];
      const trace = { instruction: () => seen.push(guest.vcpu.register('RIP')) };
      // MOV byte [0x1007], 0x43: NOP becomes INC EBX; HLT.
      const guest: FlatGuest = new FlatGuest(make(), [0xc6, 0x05, ...dword(0x1007), 0x43, 0x90, 0xf4], { trace });
      assert.equal(guest.run(), 'halted');
      assert.deepEqual(seen, [0x1000n, 0x1007n, 0x1008n]);
      assert.equal(guest.vcpu.register('RBX'), 1n);
    });

    test('what follows from registers that were set is there before the first instruction', () => {
      const { vcpu } = new FlatGuest(make(), []);
      assert.equal(vcpu.register('CODE_SIZE'), 32n);
      vcpu.setRegister('CS.access', 0x9bn);
      assert.equal(vcpu.register('CODE_SIZE'), 16n);
    });
  });
}
