import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dword, ENGINES, FlatGuest } from '../../test/support/flat-guest.ts';

/** Random programs that rewrite themselves: blocks of arithmetic that branch to each other until the fuel in ECX is used up. */
type Operation =
  /** An instruction of the 81 group, `op` r, value: others may change it. */
  | { readonly kind: 'change'; readonly op: number; readonly register: number; readonly value: number }
  /**
   * Where ECX & mask is 0, writes to a place of the `to`-th block that others may change: the value of an operation, which operation it is
   * on which register, the condition of the block's branch, or where that leads.
   */
  | {
      readonly kind: 'write';
      readonly what: 'value' | 'operation' | 'condition' | 'target';
      readonly mask: number;
      readonly to: number;
      readonly nth: number;
      readonly by: number;
    };

interface Block {
  readonly operations: readonly Operation[];
  readonly condition: number;
  readonly taken: number;
  readonly next: number;
  /** Bytes between the block and the one before. */
  readonly gap: number;
}
interface Program {
  readonly blocks: readonly Block[];
  /** How far before the end of a page the code starts. */
  readonly beforePage: number;
}

const HLT = 0xf4;
const CODE = 0x1000;
const PAGE_END = 0x3000;
const SIZE = { change: 6, write: 18 } as const;
const FUEL_CHECK = 7;
const REGISTERS = [0, 2, 3, 5, 6, 7] as const;

const register = fc.constantFrom(...REGISTERS);
const operation = (blocks: number): fc.Arbitrary<Operation> =>
  fc.oneof(
    fc.record({ kind: fc.constant('change' as const), op: fc.nat(7), register, value: fc.nat(0x7fffffff) }),
    fc.record({
      kind: fc.constant('write' as const),
      what: fc.constantFrom('value' as const, 'operation' as const, 'condition' as const, 'target' as const),
      mask: fc.constantFrom(0x3f, 0xff, 0x3ff, 0xfff),
      to: fc.nat(blocks - 1),
      nth: fc.nat(9),
      by: fc.nat(1000),
    }),
  );
const program: fc.Arbitrary<Program> = fc.integer({ min: 1, max: 7 }).chain((n) =>
  fc.record({
    blocks: fc.array(
      fc.record({
        operations: fc.array(operation(n), { minLength: 1, maxLength: 6 }),
        condition: fc.nat(15),
        taken: fc.nat(n - 1),
        next: fc.nat(n - 1),
        gap: fc.constantFrom(0, 0, 3, 200, 4096),
      }),
      { minLength: n, maxLength: n },
    ),
    beforePage: fc.nat(300),
  }),
);

const bodySize = ({ operations }: Block): number => operations.reduce((size, { kind }) => size + SIZE[kind], 0);
const blockSize = (b: Block): number => b.gap + FUEL_CHECK + bodySize(b) + 11;

class Assembler {
  readonly #blocks: readonly Block[];
  readonly #starts: readonly number[];
  readonly #end: number;
  readonly start: number;

  constructor({ blocks, beforePage }: Program) {
    this.#blocks = blocks;
    this.start = PAGE_END - beforePage;
    this.#starts = blocks.map(
      (b, i) => this.start + b.gap + blocks.slice(0, i).reduce((at, c) => at + blockSize(c), 0),
    );
    this.#end = this.start + blocks.reduce((at, b) => at + blockSize(b), 0);
  }

  /** The bytes from `start` on. */
  code(): number[] {
    const code: number[] = [];
    for (const [i, b] of this.#blocks.entries()) {
      code.push(...new Array<number>(b.gap).fill(0x90));
      const at = (): number => this.start + code.length;
      // DEC ECX; JZ end.
      code.push(0x49, 0x0f, 0x84);
      code.push(...dword(this.#end - (at() + 4)));
      for (const o of b.operations) code.push(...this.#operation(o));
      code.push(0x0f, 0x80 + b.condition);
      code.push(...dword(this.#starts[b.taken] - (at() + 4)));
      code.push(0xe9);
      code.push(...dword(this.#starts[b.next] - (at() + 4)));
      assert.equal(at(), this.#starts[i] + blockSize(b) - b.gap);
    }
    return [...code, HLT];
  }

  #operation(o: Operation): number[] {
    if (o.kind === 'change') return [0x81, 0xc0 | (o.op << 3) | o.register, ...dword(o.value)];
    // TEST ECX, mask; JNZ past the write, which has ten bytes.
    const guard = [0xf7, 0xc1, ...dword(o.mask), 0x75, 10];
    const write = this.#write(o);
    return [...guard, ...write, ...new Array<number>(10 - write.length).fill(0x90)];
  }

  #write({ what, to, nth, by }: Extract<Operation, { kind: 'write' }>): number[] {
    const block = this.#blocks[to];
    const start = this.#starts[to];
    const branch = start + FUEL_CHECK + bodySize(block);
    const changeable = block.operations.flatMap((o, i) =>
      o.kind === 'change'
        ? [start + FUEL_CHECK + bodySize({ ...block, operations: block.operations.slice(0, i) })]
        : [],
    );
    const place = changeable[nth % Math.max(1, changeable.length)];
    const byRegister = REGISTERS[by % REGISTERS.length];
    // MOV [place], r32; MOV BYTE [place], constant; MOV DWORD [place], constant.
    if (what === 'target') {
      const target = this.#starts[by % this.#starts.length];
      return [0xc7, 0x05, ...dword(branch + 2), ...dword(target - (branch + 6))];
    }
    if (what === 'condition' || place === undefined) return [0xc6, 0x05, ...dword(branch + 1), 0x80 + (by & 15)];
    if (what === 'value') return [0x89, (byRegister << 3) | 5, ...dword(place + 2)];
    return [0xc6, 0x05, ...dword(place + 1), 0xc0 | ((by & 7) << 3) | byRegister];
  }
}

function outcomeOf(name: string, program: Program, fuel: number): object {
  const assembler = new Assembler(program);
  const guest = new FlatGuest(ENGINES[name](), [0xe9, ...dword(assembler.start - (CODE + 5))]);
  const code = assembler.code();
  guest.write(assembler.start, code);
  guest.vcpu.setRegister('RCX', BigInt(fuel));
  guest.vcpu.setRegister('RSP', 0xf0000n);
  assert.equal(guest.run(4_000_000), 'halted', name);
  return { ...guest.registers(), retired: guest.vcpu.retired(), code: [...guest.read(assembler.start, code.length)] };
}

function check(engines: readonly string[], fuel: fc.Arbitrary<number>, numRuns: number): void {
  fc.assert(
    fc.property(program, fuel, (p, f) => {
      const [first, ...others] = engines.map((name) => outcomeOf(name, p, f));
      for (const [i, other] of others.entries()) assert.deepEqual(other, first, engines[i + 1]);
    }),
    { numRuns },
  );
}

test('every engine and tier runs code that rewrites itself alike', () => {
  check(['reference', 'interpreter', 'translator', 'both'], fc.integer({ min: 1, max: 600 }), 12);
});

test('so do the tiers where the code is hot', () => {
  check(['interpreter', 'both'], fc.integer({ min: 20_000, max: 60_000 }), 12);
});

for (const [name, engine] of Object.entries(ENGINES))
  test(`${name}: a store reaches the next instruction, which is one that often follows it`, () => {
    const ROUNDS = 100;
    const seen = 0x8000;
    const code = [
      ...[0x89, 0x0d, ...dword(0x100c)], // 1000: MOV [0x100c], ECX: the constant of the next instruction
      ...[0xc7, 0x05, ...dword(seen), ...dword(0)], // 1006: MOV [seen], constant
      ...[0x03, 0x15, ...dword(seen)], // 1010: ADD EDX, [seen]
      0x49, // DEC ECX
      ...[0x75, 0xe7], // JNZ 1000
      0xf4, // HLT
    ];
    const guest = new FlatGuest(engine(), code);
    guest.vcpu.setRegister('RCX', BigInt(ROUNDS));
    guest.vcpu.setRegister('RDX', 0n);
    assert.equal(guest.run(), 'halted');
    assert.equal(guest.vcpu.register('RDX'), BigInt((ROUNDS * (ROUNDS + 1)) / 2));
  });
