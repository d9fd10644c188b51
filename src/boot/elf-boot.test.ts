import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TestRam } from '../../test/support/test-ram.ts';
import { UserError } from '../user-error.ts';
import { loadBootSource } from './load.ts';
import type { BootEnvironment, BootModule } from './source.ts';

const MIB = 2 ** 20;
const LOAD = 0x20_0000;
const CODE = Uint8Array.of(0xfa, 0xf4, 0xeb, 0xfd);

/** A note segment as linkers write it: name "Xen", type, four bytes of description. */
function xenNote(type: number, value: number): Uint8Array {
  const note = new Uint8Array(20);
  const view = new DataView(note.buffer);
  view.setUint32(0, 4, true);
  view.setUint32(4, 4, true);
  view.setUint32(8, type, true);
  note.set([0x58, 0x65, 0x6e, 0], 12);
  view.setUint32(16, value, true);
  return note;
}

/** An ELF file with code at `LOAD`, 100 bytes of bss behind it, and a note segment. */
function elf(bits: 32 | 64, note: Uint8Array, front: Uint8Array = new Uint8Array(0), machine = 62): Uint8Array {
  const wide = bits === 64;
  const [headerBytes, entryBytes] = wide ? [64, 56] : [52, 32];
  const frontAt = headerBytes + 2 * entryBytes;
  const noteAt = Math.ceil((frontAt + front.length) / 4) * 4;
  const codeAt = noteAt + note.length;
  const bytes = new Uint8Array(codeAt + CODE.length);
  const view = new DataView(bytes.buffer);
  const address = (at: number, value: number): void =>
    wide ? view.setBigUint64(at, BigInt(value), true) : view.setUint32(at, value, true);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(18, machine, true);
  address(24, LOAD);
  address(wide ? 32 : 28, headerBytes);
  view.setUint16(wide ? 54 : 42, entryBytes, true);
  view.setUint16(wide ? 56 : 44, 2, true);
  const segments = [
    { type: 1, offset: codeAt, at: LOAD, fileSize: CODE.length, memorySize: CODE.length + 100 },
    { type: 4, offset: noteAt, at: 0, fileSize: note.length, memorySize: note.length },
  ];
  for (const [i, { type, offset, at, fileSize, memorySize }] of segments.entries()) {
    const entry = headerBytes + i * entryBytes;
    view.setUint32(entry, type, true);
    const fields = wide ? [8, 16, 24, 32, 40] : [4, 8, 12, 16, 20];
    for (const [j, value] of [offset, at, at, fileSize, memorySize].entries()) address(entry + fields[j]!, value);
  }
  bytes.set(front, frontAt);
  bytes.set(note, noteAt);
  bytes.set(CODE, codeAt);
  return bytes;
}

function multibootHeader(flags: number, ...addresses: readonly number[]): Uint8Array {
  const fields = [0x1bad_b002, flags, -(0x1bad_b002 + flags) >>> 0, ...addresses];
  return new Uint8Array(Uint32Array.from(fields).buffer);
}

function boot(bytes: Uint8Array, initrds: readonly BootModule[] = [], commandLine = 'a b', memory = 8 * MIB) {
  const ram = new TestRam(memory);
  ram.bytes.fill(0xee, LOAD, LOAD + 0x1000);
  const memoryMap = [
    { base: 0, size: 0x9_fc00, kind: 1 },
    { base: MIB, size: memory - MIB, kind: 1 },
  ] as const;
  const environment: BootEnvironment = { memory: ram, memoryMap, rsdp: 0xe_0b40, seed: new Uint8Array(32) };
  const registers = new Map(loadBootSource({ kernel: { name: 'vmlinux', bytes }, initrds, commandLine }, environment));
  const info = new DataView(ram.bytes.buffer, Number(registers.get('RBX')), 256);
  return { ram, registers, info };
}

const modules: readonly BootModule[] = [
  { name: 'one', bytes: new Uint8Array(5000).fill(1) },
  { name: 'two', bytes: new Uint8Array(10).fill(2) },
];
const textAt = (ram: TestRam, at: number): string =>
  String.fromCharCode(...ram.bytes.subarray(at, ram.bytes.indexOf(0, at)));
const PVH = xenNote(18, 0x20_0002);

for (const bits of [32, 64] as const) {
  test(`a ${bits}-bit ELF with a PVH note is entered there in protected mode`, () => {
    const { ram, registers } = boot(elf(bits, PVH));
    assert.equal(registers.get('RIP'), 0x20_0002n);
    assert.equal(registers.get('CS.access'), 0xc09bn);
    assert.equal(registers.get('CR0'), 0x11n);
    assert.deepEqual(ram.bytes.subarray(LOAD, LOAD + 4), CODE);
    assert.ok(ram.bytes.subarray(LOAD + 4, LOAD + 104).every((byte) => byte === 0));
    assert.equal(ram.bytes[LOAD + 104], 0xee);
  });
}

test('hvm_start_info lists command line, modules, memory and the root pointer', () => {
  const { ram, info } = boot(elf(64, PVH), modules);
  const long = (at: number): number => Number(info.getBigUint64(at, true));
  assert.deepEqual([info.getUint32(0, true), info.getUint32(4, true), info.getUint32(12, true)], [0x336e_c578, 1, 2]);
  assert.equal(textAt(ram, long(24)), 'a b');
  assert.equal(long(32), 0xe_0b40);
  assert.equal(info.getUint32(48, true), 2);
  const map = new DataView(ram.bytes.buffer, long(40), 48);
  assert.deepEqual(
    [map.getBigUint64(24, true), map.getBigUint64(32, true), map.getUint32(40, true)],
    [0x10_0000n, 0x70_0000n, 1],
  );
  const list = new DataView(ram.bytes.buffer, long(16), 64);
  for (const [i, { bytes }] of modules.entries()) {
    const at = Number(list.getBigUint64(i * 32, true));
    assert.equal(at % 4096, 0);
    assert.equal(Number(list.getBigUint64(i * 32 + 8, true)), bytes.length);
    assert.deepEqual(ram.bytes.subarray(at, at + bytes.length), bytes);
  }
});

test('a Multiboot ELF gets the magic number and the information structure', () => {
  const { ram, registers, info } = boot(elf(32, xenNote(1, 0), multibootHeader(3)), modules);
  assert.equal(registers.get('RAX'), 0x2bad_b002n);
  assert.equal(registers.get('RIP'), BigInt(LOAD));
  assert.equal(registers.get('CS.access'), 0xc09bn);
  const word = (at: number): number => info.getUint32(at, true);
  assert.equal(word(0), 0x24d);
  assert.deepEqual([word(4), word(8)], [639, 7168]);
  assert.equal(textAt(ram, word(16)), 'vmlinux a b');
  assert.equal(textAt(ram, word(64)), 'trapeze');
  assert.equal(word(20), 2);
  for (const [i, { name, bytes }] of modules.entries()) {
    const [start, end, string] = [0, 4, 8].map((at) => ram.view.getUint32(word(24) + 16 * i + at, true));
    assert.deepEqual(ram.bytes.subarray(start, end), bytes);
    assert.equal(textAt(ram, string!), name);
  }
  const [size, base] = [ram.view.getUint32(word(48) + 24, true), ram.view.getBigUint64(word(48) + 28, true)];
  assert.deepEqual([word(44), size, base], [48, 20, 0x10_0000n]);
});

test('a flat Multiboot image is placed as its header says', () => {
  const header = multibootHeader(0x1_0000, LOAD + 4, LOAD, LOAD + 40, LOAD + 60, LOAD + 36);
  const file = new Uint8Array(64).fill(0xcc);
  file.set([1, 2, 3, 4]);
  file.set(header, 4);
  const { ram, registers } = boot(file);
  assert.equal(registers.get('RIP'), BigInt(LOAD + 36));
  assert.deepEqual(ram.bytes.subarray(LOAD, LOAD + 40), file.subarray(0, 40));
  assert.ok(ram.bytes.subarray(LOAD + 40, LOAD + 60).every((byte) => byte === 0));
  assert.equal(ram.bytes[LOAD + 60], 0xee);
});

const refuses = (what: string, message: RegExp, attempt: () => unknown): void =>
  void test(`${what} is refused in one clear line`, () => {
    assert.throws(
      attempt,
      (error) => error instanceof UserError && message.test(error.message) && !/\n/.test(error.message),
    );
  });

refuses('an ELF file without an entry for boot loaders', /neither a PVH entry note nor a Multiboot/, () =>
  boot(elf(64, xenNote(1, 0))),
);
refuses('an ELF file for arm64', /for machine 183, not for x86/, () => boot(elf(64, PVH, undefined, 183)));
refuses('a truncated ELF file', /damaged or truncated ELF/, () => boot(elf(64, PVH).subarray(0, 190)));
refuses('an ELF file beyond memory', /needs 3 MiB of memory/, () => boot(elf(64, PVH), [], '', 2 * MIB));
refuses('modules that do not fit', /one, two: 1 MiB of initrd does not fit/, () => {
  return boot(elf(64, PVH), modules, '', LOAD + 0x2000);
});
refuses('unknown Multiboot requirements', /Multiboot features 0x8000/, () =>
  boot(elf(32, PVH, multibootHeader(0x8000))),
);
refuses('Multiboot addresses outside the file', /do not fit the file/, () =>
  boot(multibootHeader(0x1_0000, LOAD, LOAD, LOAD + 999, 0, LOAD)),
);

test('mutated ELF files either load or are refused with a UserError', () => {
  const base = fc.constantFrom(elf(64, PVH), elf(32, PVH), elf(32, PVH, multibootHeader(3)));
  const changes = fc.array(fc.tuple(fc.nat(260), fc.nat(255)), { maxLength: 8 });
  fc.assert(
    fc.property(base, changes, fc.nat(300), (file, mutations, cut) => {
      const bytes = file.slice(0, cut < 200 ? undefined : cut);
      for (const [at, value] of mutations) bytes[at] = value;
      try {
        boot(bytes, modules);
      } catch (error) {
        assert.ok(error instanceof UserError, String(error));
      }
    }),
    { numRuns: 400 },
  );
});
