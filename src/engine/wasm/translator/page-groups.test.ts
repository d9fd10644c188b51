import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dword, ENGINES, FlatGuest } from '../../../../test/support/flat-guest.ts';
import { decode } from '../../../isa/x86/decoder.ts';
import { BlockBuilder } from './block-builder.ts';
import { pageGroups } from './page-groups.ts';

/** Distances from the lowest address of its group, for each access of 64-bit code; undefined for one that is alone. */
function distances(code: string): (number | undefined)[] {
  const bytes = Uint8Array.from(Buffer.from(code.replaceAll(' ', ''), 'hex'));
  const b = new BlockBuilder();
  for (let at = 0; at < bytes.length; ) {
    const decoded = decode(bytes, 64, at);
    assert.ok(typeof decoded !== 'string');
    b.instruction(decoded, at);
    at += decoded.fields.length;
  }
  const groups = pageGroups(b.statements);
  return b.statements.filter((s) => s.kind === 'load' || s.kind === 'store').map((s) => groups.get(s)?.at);
}

test('pushes, pops and accesses by the stack pointer are one group', () => {
  // push rax; push rbx; mov rcx,[rsp+8]; pop rdx
  assert.deepEqual(distances('50 53 48 8b 4c 24 08 5a'), [8, 0, 8, 0]);
});

test('both accesses of an instruction that changes memory are a group', () => {
  // add [rbx+rsi*8+16],rax; mov rdx,[rbx+rsi*8+8]
  assert.deepEqual(distances('48 01 44 f3 10 48 8b 54 f3 08'), [8, 8, 0]);
});

test('an address by a register that changed, or far away, belongs to no group', () => {
  // mov rax,[rbx]; mov ebx,eax; mov rax,[rbx]
  assert.deepEqual(distances('48 8b 03 89 c3 48 8b 03'), [undefined, undefined]);
  // mov rax,[rbx]; mov rcx,[rbx+1000h]
  assert.deepEqual(distances('48 8b 03 48 8b 8b 00 10 00 00'), [undefined, undefined]);
  // mov rax,[rbx]; mov bl,1; mov rax,[rbx]
  assert.deepEqual(distances('48 8b 03 b3 01 48 8b 03'), [undefined, undefined]);
});

const TABLES = 0x20000;
const FIRST = 0x41;
/** Where the pages from the first on lie: apart from each other, the third of them as `kind` says. */
const KINDS = { plain: 0x50003, readOnly: 0x50001, absent: 0, device: 0x400003 } as const;
const BASE = (FIRST + 1) * 4096;

const REGISTERS = [0, 2, 7];
const register = fc.constantFrom(...REGISTERS);
const near = fc.integer({ min: -300, max: 300 });
const modrm = (r: number, d: number): number[] => [0x83 | (r << 3), ...dword(d)];
const indexed = (r: number, d: number): number[] => [0x84 | (r << 3), 0xf3, ...dword(d)];
/** An instruction with an access by RBX, by RBX and RSI or by RSP, or one that moves RBX. */
const instruction = fc.oneof(
  fc
    .tuple(fc.constantFrom([0x48, 0x8b], [0x48, 0x89], [0x48, 0x01], [0x8b], [0x88], [0x0f, 0xb6]), register, near)
    .map(([op, r, d]) => [...op, ...modrm(r, d)]),
  fc.tuple(fc.constantFrom([0x48, 0x8b], [0x48, 0x89]), register, near).map(([op, r, d]) => [...op, ...indexed(r, d)]),
  register.map((r) => [0x50 + r]),
  register.map((r) => [0x58 + r]),
  near.map((d) => [0x48, 0x81, 0xc3, ...dword(d)]),
);

interface Loop {
  readonly body: readonly number[];
  readonly kind: keyof typeof KINDS;
  readonly rbx: number;
  readonly rsp: number;
  readonly step: number;
}
const loop: fc.Arbitrary<Loop> = fc.record({
  body: fc.array(instruction, { minLength: 2, maxLength: 12 }).map((list) => list.flat()),
  kind: fc.constantFrom('plain', 'plain', 'readOnly', 'absent', 'device'),
  rbx: near.map((d) => BASE + d),
  rsp: near.map((d) => BASE + d),
  step: fc.integer({ min: -64, max: 64 }),
});

function outcome(make: (typeof ENGINES)[string], { body, kind, rbx, rsp, step }: Loop): unknown {
  const round = [...body, 0x48, 0x81, 0xc3, ...dword(step), 0x48, 0xff, 0xc9];
  const guest = new FlatGuest(make(), [...round, 0x0f, 0x85, ...dword(-round.length - 6), 0xf4]);
  for (const [i, next] of [TABLES + 0x1003, TABLES + 0x2003, TABLES + 0x3003].entries())
    guest.write(TABLES + 0x1000 * i, dword(next));
  for (let i = 0; i < 256; i++) guest.write(TABLES + 0x3000 + 8 * i, dword(i * 4096 + 3));
  for (const [i, entry] of [0x60003, 0x70003, KINDS[kind]].entries())
    guest.write(TABLES + 0x3000 + 8 * (FIRST - 1 + i), dword(entry));
  for (let at = 0x50000; at < 0x80000; at += 4) guest.write(at, dword(Math.imul(at, 0x9e3779b1)));
  const settings: Readonly<Record<string, bigint>> = {
    ...{ CR4: 0x620n, CR3: BigInt(TABLES), IA32_EFER: 0xd01n, CR0: 0x80010013n, 'CS.access': 0xa09bn },
    ...{ 'IDTR.limit': 0n, RBX: BigInt(rbx), RSP: BigInt(rsp), RSI: 3n, RCX: 12n },
  };
  for (const [name, value] of Object.entries(settings)) guest.vcpu.setRegister(name, value);
  const end = guest.run(1000);
  const { RIP, RAX, RDX, RDI, RBX, RSP, RCX } = guest.registers();
  return { end, RIP, RAX, RDX, RDI, RBX, RSP, RCX, memory: Buffer.from(guest.read(0x50000, 0x30000)) };
}

test('accesses at both ends of pages of every kind are what the reference makes of them', () => {
  fc.assert(
    fc.property(loop, (one) => {
      const expected = outcome(ENGINES.reference, one);
      for (const name of ['interpreter', 'translator']) assert.deepEqual(outcome(ENGINES[name], one), expected, name);
    }),
    { numRuns: 30 },
  );
});
