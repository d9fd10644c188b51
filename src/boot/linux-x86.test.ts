import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TestRam } from '../../test/support/test-ram.ts';
import { UserError } from '../user-error.ts';
import { isLinuxImage } from './linux-x86.ts';
import { loadBootSource } from './load.ts';
import type { BootEnvironment, BootModule } from './source.ts';

const MIB = 2 ** 20;
const SETUP_SECTORS = 3;
const SETUP_BYTES = (SETUP_SECTORS + 1) * 512;

interface Fields {
  readonly version?: number;
  readonly xloadflags?: number;
  readonly relocatable?: number;
  readonly preferred?: number;
  readonly initSize?: number;
  readonly initrdAddrMax?: number;
  readonly loadflags?: number;
}

/** A bzImage whose kernel is `kernelBytes` bytes 0x90. */
function bzImage(fields: Fields = {}, kernelBytes = 0x2000): BootModule {
  const bytes = new Uint8Array(SETUP_BYTES + kernelBytes).fill(0x90, SETUP_BYTES);
  const view = new DataView(bytes.buffer);
  bytes[0x1f1] = SETUP_SECTORS;
  view.setUint32(0x1f4, Math.ceil(kernelBytes / 16), true);
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint16(0x200, 0x6aeb, true);
  view.setUint32(0x202, 0x5372_6448, true);
  view.setUint16(0x206, fields.version ?? 0x20f, true);
  bytes[0x211] = fields.loadflags ?? 1;
  view.setUint32(0x214, 0x10_0000, true);
  view.setUint32(0x22c, fields.initrdAddrMax ?? 0x7fff_ffff, true);
  view.setUint32(0x230, 0x20_0000, true);
  bytes[0x234] = fields.relocatable ?? 1;
  view.setUint16(0x236, fields.xloadflags ?? 1, true);
  view.setUint32(0x238, 2047, true);
  view.setBigUint64(0x258, BigInt(fields.preferred ?? 0x100_0000), true);
  view.setUint32(0x260, fields.initSize ?? 0x10_0000, true);
  return { name: 'vmlinuz', bytes };
}

function environment(memory: TestRam): BootEnvironment {
  const memoryMap = [
    { base: 0, size: 0x9_fc00, kind: 1 },
    { base: MIB, size: memory.size - MIB, kind: 1 },
  ] as const;
  return { memory, memoryMap, rsdp: 0xe_0000, seed: Uint8Array.from({ length: 32 }, (_, i) => i) };
}

interface Booted {
  readonly ram: TestRam;
  readonly registers: ReadonlyMap<string, bigint>;
  readonly params: DataView;
}

function boot(
  kernel: BootModule,
  initrds: readonly BootModule[] = [],
  commandLine = 'quiet',
  memory = 24 * MIB,
): Booted {
  const ram = new TestRam(memory);
  const registers = new Map(loadBootSource({ kernel, initrds, commandLine }, environment(ram)));
  const params = new DataView(ram.bytes.buffer, Number(registers.get('RSI')), 4096);
  return { ram, registers, params };
}

const initrd = (size: number): BootModule => ({ name: 'initrd', bytes: new Uint8Array(size).fill(7) });
const textAt = (ram: TestRam, at: number): string =>
  String.fromCharCode(...ram.bytes.subarray(at, ram.bytes.indexOf(0, at)));

test('a 64-bit kernel is entered at 0x200 in 64-bit mode on an identity map', () => {
  const { ram, registers } = boot(bzImage());
  assert.equal(registers.get('RIP'), 0x100_0200n);
  assert.equal(registers.get('CS.selector'), 0x10n);
  assert.equal(registers.get('CS.access'), 0xa09bn);
  assert.equal(registers.get('SS.selector'), 0x18n);
  assert.equal(registers.get('IA32_EFER'), 0x500n);
  assert.equal(registers.get('RFLAGS'), 2n);
  assert.equal(ram.bytes[0x100_0000], 0x90);
  const entry = (table: number, index: number): number =>
    Number(ram.view.getBigUint64(table + index * 8, true) & 0xf_ffff_ffff_f000n);
  const cr3 = Number(registers.get('CR3'));
  for (const address of [0, 0x100_0200, 0xbfff_f000, 0xfee0_0000]) {
    const pointers = entry(cr3, 0);
    const directory = entry(pointers, Math.floor(address / 2 ** 30));
    assert.equal(entry(directory, (address >>> 21) & 0x1ff), Math.floor(address / 0x20_0000) * 0x20_0000);
  }
});

test('a kernel without a 64-bit entry is entered at its start in 32-bit protected mode', () => {
  const { registers } = boot(bzImage({ xloadflags: 0 }));
  assert.equal(registers.get('RIP'), 0x100_0000n);
  assert.equal(registers.get('CS.access'), 0xc09bn);
  assert.equal(registers.get('CR0'), 0x11n);
  assert.deepEqual(
    ['RBP', 'RDI', 'RBX'].map((name) => registers.get(name)),
    [0n, 0n, 0n],
  );
});

test('a kernel that is not relocatable is loaded at code32_start', () => {
  assert.equal(boot(bzImage({ relocatable: 0 })).registers.get('RIP'), 0x10_0200n);
});

test('a kernel that is not relocatable needs the memory where it unpacks itself, and the initrd lies behind', () => {
  const kernel = bzImage({ relocatable: 0, initSize: 6 * MIB });
  assert.throws(() => boot(kernel, [], '', 21 * MIB), /needs 22 MiB of memory to start and the machine has 21 MiB/);
  const { params } = boot(kernel, [initrd(MIB)], '', 23 * MIB);
  assert(params.getUint32(0x218, true) >= 22 * MIB);
});

test('boot_params has the header, command line, memory map, root pointer and seed', () => {
  const { ram, params } = boot(bzImage(), [], 'console=ttyS0 quiet');
  assert.equal(params.getUint32(0x202, true), 0x5372_6448);
  assert.equal(params.getUint8(0x210), 0xff);
  assert.equal(textAt(ram, params.getUint32(0x228, true)), 'console=ttyS0 quiet');
  assert.equal(params.getBigUint64(0x70, true), 0xe_0000n);
  assert.equal(params.getUint8(0x1e8), 2);
  const entry = [0x2e4, 0x2ec].map((at) => params.getBigUint64(at, true));
  assert.deepEqual([...entry, params.getUint32(0x2f4, true)], [BigInt(MIB), 23n * BigInt(MIB), 1]);
  const setupData = Number(params.getBigUint64(0x250, true));
  assert.deepEqual([...ram.bytes.subarray(setupData + 8, setupData + 18)], [9, 0, 0, 0, 32, 0, 0, 0, 0, 1]);
});

test('an initrd lies on a page, behind the kernel, below the limit, and is whole', () => {
  const sizes = fc.integer({ min: 1, max: 3 * MIB });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 20 * MIB, max: 64 * MIB }), (size, limit) => {
      const { ram, params } = boot(bzImage({ initrdAddrMax: limit }), [initrd(size)]);
      const at = params.getUint32(0x218, true);
      assert.equal(params.getUint32(0x21c, true), size);
      assert.equal(at % 4096, 0);
      assert.ok(at >= 0x110_0000 && at + size <= Math.min(limit + 1, ram.size));
      assert.ok(ram.bytes.subarray(at, at + size).every((byte) => byte === 7));
    }),
    { numRuns: 20 },
  );
});

test('several initrds are joined at multiples of four bytes', () => {
  const { ram, params } = boot(bzImage(), [initrd(5), initrd(4)]);
  const at = params.getUint32(0x218, true);
  assert.deepEqual([...ram.bytes.subarray(at, at + 12)], [7, 7, 7, 7, 7, 0, 0, 0, 7, 7, 7, 7]);
  assert.equal(params.getUint32(0x21c, true), 12);
});

const refuses = (what: string, message: RegExp, attempt: () => unknown): void =>
  void test(`${what} is refused in one clear line`, () => {
    assert.throws(
      attempt,
      (error) => error instanceof UserError && message.test(error.message) && !/\n/.test(error.message),
    );
  });

refuses('a file of random bytes', /not a kernel/, () =>
  boot({ name: 'noise', bytes: new Uint8Array(5000).fill(0xa5) }),
);
refuses('an empty file', /not a kernel/, () => boot({ name: 'empty', bytes: new Uint8Array(0) }));
refuses('a truncated bzImage', /vmlinuz is truncated: .* 10225 bytes .* 9000/, () => {
  const { name, bytes } = bzImage();
  return boot({ name, bytes: bytes.subarray(0, 9000) });
});
refuses('a zImage', /zImage/, () => boot(bzImage({ loadflags: 0 })));
refuses('too little memory', /needs 17 MiB of memory to start and the machine has 16 MiB/, () =>
  boot(bzImage(), [], '', 16 * MIB),
);
refuses('an initrd larger than memory', /initrd: 30 MiB of initrd does not fit.*at least 47 MiB/, () =>
  boot(bzImage(), [initrd(30 * MIB)]),
);
refuses('an initrd beyond what the kernel takes', /more than the kernel takes/, () =>
  boot(bzImage({ initrdAddrMax: 18 * MIB }), [initrd(3 * MIB)], '', 64 * MIB),
);
refuses('a long command line', /2048 characters and this kernel takes 2047/, () =>
  boot(bzImage(), [], 'x'.repeat(2048)),
);
refuses('a command line with an umlaut', /not ASCII at position 3/, () => boot(bzImage(), [], 'a=ö'));

test('mutated images either load or are refused with a UserError', () => {
  const mutations = fc.array(fc.tuple(fc.integer({ min: 0x1f1, max: 0x26b }), fc.nat(255)), { maxLength: 6 });
  const lengths = fc.integer({ min: 0, max: 10_240 });
  fc.assert(
    fc.property(mutations, lengths, (changes, length) => {
      const { name, bytes } = bzImage();
      for (const [at, value] of changes) bytes[at] = value;
      try {
        boot({ name, bytes: bytes.subarray(0, length) }, [initrd(100)], 'x', 20 * MIB);
      } catch (error) {
        assert.ok(error instanceof UserError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test('a header needs both of its magic numbers', () => {
  const { bytes } = bzImage();
  assert.ok(isLinuxImage(bytes));
  assert.ok(!isLinuxImage(bytes.with(0x1fe, 0)));
  assert.ok(!isLinuxImage(bytes.with(0x203, 0)));
});
