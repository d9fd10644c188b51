import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dword } from '../support/flat-guest.ts';
import { PLACE, SYSTEM_ENGINES, SystemGuest } from '../support/system-guest.ts';

const [UD, GP, PF] = [6, 13, 14];
const CR0 = { PG: 1n << 31n, WP: 1n << 16n, CD: 1n << 30n };
const CR4 = { PSE: 1n << 4n, PAE: 1n << 5n, PGE: 1n << 7n, PCIDE: 1n << 17n, SMEP: 1n << 20n, SMAP: 1n << 21n };
const ERROR = { P: 1, W: 2, U: 4, RSVD: 8, I: 16 };
const ENTRY = { P: 1, RW: 2, US: 4, A: 0x20, D: 0x40, PS: 0x80, G: 0x100 };
const XD = 1n << 63n;
/** A linear address that tests map by themselves. */
const PAGE = 0x400000;
const FRAME = 0x50000;
const [ROOT, TABLE] = [PLACE.tables + 0x8000, PLACE.tables + 0x9000];
const load = (address: number): number[] => [0xa1, ...dword(address)];
const store = (address: number): number[] => [0xa3, ...dword(address)];
/** MOV CRn, EAX. */
const toControl = (n: number): number[] => [0x0f, 0x22, 0xc0 | (n << 3)];

for (const [name, make] of Object.entries(SYSTEM_ENGINES)) {
  describe(`paging on ${name}`, () => {
    const guest = new SystemGuest(make());

    /** 32-bit paging: 4 MiB flat for level 3 too, PAGE as given. */
    const narrow = (
      code: readonly number[],
      pte: number,
      options: { cpl?: 0 | 3; cr0?: bigint; cr4?: bigint } = {},
    ) => {
      guest.start('protected32', code, {
        cpl: options.cpl ?? 0,
        registers: {
          CR3: BigInt(ROOT),
          CR4: CR4.PSE | (options.cr4 ?? 0n),
          CR0: 0x11n | CR0.PG | (options.cr0 ?? 0n),
        },
      });
      guest.setNumber(ROOT, 4, ENTRY.P | ENTRY.RW | ENTRY.US | ENTRY.PS);
      guest.setNumber(ROOT + 4, 4, TABLE | ENTRY.P | ENTRY.RW | ENTRY.US);
      guest.setNumber(TABLE, 4, FRAME | pte);
      const { vector, code: error } = guest.run();
      return [vector, error] as const;
    };

    test('32-bit paging: error codes by access, level and what is found', () => {
      const { P, RW, US } = ENTRY;
      assert.deepEqual(narrow(load(PAGE), P), [3, undefined]);
      assert.deepEqual(narrow(load(PAGE + 8), 0), [PF, 0]);
      assert.equal(guest.get('CR2'), BigInt(PAGE + 8));
      assert.deepEqual(narrow(store(PAGE), 0), [PF, ERROR.W]);
      assert.deepEqual(narrow(load(PAGE), P | RW, { cpl: 3 }), [PF, ERROR.P | ERROR.U]);
      assert.deepEqual(narrow(store(PAGE), P | US, { cpl: 3 }), [PF, ERROR.P | ERROR.U | ERROR.W]);
      assert.deepEqual(narrow(store(PAGE), P), [3, undefined], 'level 0 writes where WP is clear');
      assert.deepEqual(narrow(store(PAGE), P, { cr0: CR0.WP }), [PF, ERROR.P | ERROR.W]);
    });

    test('accessed and dirty bits are set when they are due, and not before', () => {
      const bits = (code: readonly number[], pte: number, options = {}): [number, number] => {
        narrow(code, pte, options);
        const mask = ENTRY.A | ENTRY.D;
        return [Number(guest.number(ROOT + 4, 4)) & mask, Number(guest.number(TABLE, 4)) & mask];
      };
      const { A, D, P, RW } = ENTRY;
      assert.deepEqual(bits(load(PAGE), P | RW), [A, A]);
      assert.deepEqual(bits(store(PAGE), P | RW), [A, A | D]);
      assert.deepEqual(bits([...load(PAGE), ...store(PAGE)], P | RW), [A, A | D]);
      assert.deepEqual(bits(store(PAGE), P, { cr0: CR0.WP }), [A, 0]);
      assert.deepEqual(bits(load(PAGE), P | RW, { cpl: 3 }), [A, 0]);
    });

    test('large pages of 4 MiB: bit 21 is reserved, PSE-36 gives high bits', () => {
      const large = (pde: number): readonly [number, number | undefined] => {
        guest.start('protected32', load(PAGE), {
          registers: { CR3: BigInt(ROOT), CR4: CR4.PSE, CR0: 0x11n | CR0.PG },
        });
        guest.setNumber(ROOT, 4, ENTRY.P | ENTRY.RW | ENTRY.PS);
        guest.setNumber(ROOT + 4, 4, pde | ENTRY.P | ENTRY.PS);
        guest.setNumber(0, 4, 0x5eed);
        const { vector, code } = guest.run();
        return [vector, code];
      };
      assert.deepEqual(large(0), [3, undefined]);
      assert.equal(guest.get('RAX'), 0x5eedn);
      assert.deepEqual(large(1 << 21), [PF, ERROR.P | ERROR.RSVD]);
      guest.readDevice = () => 0x77777777;
      assert.deepEqual(large(1 << 13), [3, undefined]);
      assert.equal(guest.get('RAX'), 0x77777777n, 'at 4 GiB');
    });

    /** PAE: 2 MiB flat, PAGE as given; the code runs with the PDPTEs as they are once it starts. */
    const pae = (
      code: readonly number[],
      pte: bigint,
      options: { cpl?: 0 | 3; pdpte?: bigint; nxe?: boolean } = {},
    ) => {
      const prepare = (): void => {
        guest.setNumber(ROOT, 8, BigInt(ROOT + 0x1000) | 1n | (options.pdpte ?? 0n));
        guest.setNumber(ROOT + 0x1000, 8, 0xe7);
        guest.setNumber(ROOT + 0x1000 + 16, 8, (ROOT + 0x2000) | 7);
        guest.setNumber(ROOT + 0x2000, 8, BigInt(FRAME) | pte);
      };
      guest.start('protected32', code, { cpl: options.cpl ?? 0 });
      prepare();
      guest.set({
        CR3: BigInt(ROOT),
        CR4: CR4.PAE,
        IA32_EFER: options.nxe === false ? 0n : 0x800n,
        CR0: 0x11n | CR0.PG,
      });
      const { vector, code: error } = guest.run();
      return [vector, error] as const;
    };

    test('PAE paging: reserved bits and XD', () => {
      assert.deepEqual(pae(load(PAGE), 7n), [3, undefined]);
      assert.deepEqual(pae(load(PAGE), 7n | (1n << 52n)), [PF, ERROR.P | ERROR.RSVD]);
      assert.deepEqual(pae(load(PAGE), 7n | XD), [3, undefined]);
      assert.deepEqual(pae(load(PAGE), 7n | XD, { nxe: false }), [PF, ERROR.P | ERROR.RSVD]);
      const call = [0xe8, ...dword(PAGE - PLACE.code - 5)];
      assert.deepEqual(pae(call, 7n | XD, { cpl: 3 }), [PF, ERROR.P | ERROR.U | ERROR.I]);
      assert.deepEqual(pae(call, 0n), [PF, ERROR.I]);
    });

    test('the PDPTEs are those that the last load of CR3 found', () => {
      // MOV EAX, [PAGE] behind a store that takes the PDPTE away.
      const drop = [0xc7, 0x05, ...dword(ROOT), ...dword(0)];
      assert.deepEqual(pae([...drop, ...load(PAGE)], 7n), [3, undefined]);
      // MOV EAX, CR3; MOV CR3, EAX: now it counts, for the next fetch already; its handler cannot be reached either.
      assert.throws(() => pae([...drop, 0x0f, 0x20, 0xd8, ...toControl(3)], 7n), /shutdown/);
    });

    test('a load of CR3 in PAE mode refuses PDPTEs with reserved bits', () => {
      const reserved = [0x83, 0x0d, ...dword(ROOT), 2];
      // OR DWORD [ROOT], 2; MOV EAX, CR3; MOV CR3, EAX.
      assert.deepEqual(pae([...reserved, 0x0f, 0x20, 0xd8, ...toControl(3)], 7n), [GP, 0]);
      // CR4.PGE reloads them too: MOV EAX, CR4; OR EAX, 80H; MOV CR4, EAX.
      const pge = [0x0f, 0x20, 0xe0, 0x0d, ...dword(0x80), ...toControl(4)];
      assert.deepEqual(pae([...reserved, ...pge], 7n), [GP, 0]);
    });

    const control = (
      mode: 'protected32' | 'long',
      n: number,
      value: bigint,
      registers: Record<string, bigint> = {},
    ) => {
      guest.start(mode, toControl(n), { registers: { ...registers, RAX: value } });
      const { vector, code } = guest.run();
      return vector === 3 ? 'taken' : [vector, code];
    };
    test('control registers refuse what does not go together', () => {
      const long = 0x80000011n;
      assert.deepEqual(control('protected32', 0, CR0.PG), [GP, 0], 'PG without PE');
      assert.deepEqual(control('protected32', 0, 0x11n | (1n << 29n)), [GP, 0], 'NW without CD');
      assert.deepEqual(control('long', 0, 0x11n), [GP, 0], 'PG cleared in 64-bit mode');
      assert.deepEqual(control('long', 0, long | (1n << 32n)), [GP, 0]);
      assert.deepEqual(control('protected32', 0, long, { IA32_EFER: 0x100n }), [GP, 0], 'LME without PAE');
      assert.deepEqual(
        control('protected32', 0, long, { IA32_EFER: 0x100n, CR4: CR4.PAE, 'TR.access': 0x83n }),
        [GP, 0],
        'LME with a 16-bit TSS',
      );
      assert.deepEqual(control('long', 4, 0n), [GP, 0], 'PAE cleared');
      assert.deepEqual(control('long', 4, CR4.PAE | (1n << 12n)), [GP, 0], 'LA57 is not offered');
      assert.deepEqual(control('protected32', 4, CR4.PCIDE), [GP, 0], 'PCIDE outside IA-32e mode');
      assert.equal(control('long', 4, CR4.PAE | CR4.PCIDE), 'taken');
      assert.deepEqual(
        control('long', 4, CR4.PAE | CR4.PCIDE, { CR3: BigInt(PLACE.tables | 8) }),
        [GP, 0],
        'CR3[11:0]',
      );
      assert.deepEqual(control('long', 0, long & ~CR0.PG, { CR4: CR4.PAE | CR4.PCIDE }), [GP, 0]);
      assert.deepEqual(control('long', 3, BigInt(PLACE.tables) | (1n << 63n)), [GP, 0], 'no flush without PCIDE');
      assert.equal(control('long', 3, BigInt(PLACE.tables) | (1n << 63n), { CR4: CR4.PAE | CR4.PCIDE }), 'taken');
      assert.equal(guest.get('CR3'), BigInt(PLACE.tables));
      assert.deepEqual(control('long', 3, 1n << 45n), [GP, 0], 'beyond the physical addresses');
      for (const n of [1, 5, 6, 7]) assert.deepEqual(control('long', n, 0n), [UD, undefined]);
    });

    test('address spaces with PCIDs show their own pages, however many there are', () => {
      const SPACES = 9;
      const FAR = 1n << 39n;
      const tableOf = (space: number, level: number): number => 0x60000 + (space * 4 + level) * 0x1000;
      const frameOf = (space: number): number => 0x90000 + space * 0x1000;
      const present = ENTRY.P | ENTRY.RW;
      const code: number[] = [];
      let results = 0;
      const enter = (space: number, keeps: boolean): void => {
        const cr3 = BigInt(tableOf(space, 0) | (space + 1)) | (keeps ? 1n << 63n : 0n);
        const bytes = Array.from({ length: 8 }, (_, i) => Number((cr3 >> BigInt(8 * i)) & 0xffn));
        // MOV RAX, cr3; MOV CR3, RAX.
        code.push(0x48, 0xb8, ...bytes, 0x0f, 0x22, 0xd8);
      };
      // MOV RBX, [RDI]; MOV [results], RBX.
      const look = (): void =>
        void code.push(0x48, 0x8b, 0x1f, 0x48, 0x89, 0x1c, 0x25, ...dword(PLACE.data + 8 * ++results));
      // MOV QWORD [last table], another frame.
      const remap = (space: number, to: number): void =>
        void code.push(0x48, 0xc7, 0x04, 0x25, ...dword(tableOf(space, 3)), ...dword(frameOf(to) | present));
      const expected: number[] = [];
      for (const keeps of [false, true, true]) {
        for (let space = 0; space < SPACES; space++) {
          enter(space, keeps);
          look();
          expected.push(space);
        }
      }
      remap(8, 3);
      // INVLPG [RDI].
      code.push(0x0f, 0x01, 0x3f);
      look();
      remap(7, 4);
      // INVPCID RCX, [data].
      code.push(0x66, 0x0f, 0x38, 0x82, 0x0c, 0x25, ...dword(PLACE.data));
      enter(7, true);
      look();
      remap(6, 5);
      enter(6, false);
      look();
      expected.push(3, 4, 5);
      guest.start('long', code, {
        registers: { RDI: FAR, RCX: 1n, CR4: CR4.PAE | CR4.PCIDE, CR3: BigInt(PLACE.tables) },
      });
      guest.setNumber(PLACE.data, 8, 8);
      for (let space = 0; space < SPACES; space++) {
        guest.setNumber(tableOf(space, 0), 8, guest.number(PLACE.tables, 8));
        for (let level = 0; level < 3; level++) {
          const at = tableOf(space, level) + (level === 0 ? 8 : 0);
          guest.setNumber(at, 8, tableOf(space, level + 1) | present);
        }
        guest.setNumber(tableOf(space, 3), 8, frameOf(space) | present);
        guest.setNumber(frameOf(space), 8, space);
      }
      assert.equal(guest.run().vector, 3);
      const seen = expected.map((_, i) => Number(guest.number(PLACE.data + 8 * (i + 1), 8)));
      assert.deepEqual(seen, expected);
    });

    test('INVLPG makes calls to a page go where it is mapped now', () => {
      const HIGH = -(1n << 39n);
      const tableOf = (level: number): number => 0x60000 + level * 0x1000;
      const frames = [0x90000, 0x91000];
      const present = ENTRY.P | ENTRY.RW;
      const code: number[] = [];
      // MOV QWORD [table], frame; INVLPG [RDI]; twice: SHL EAX, 4; CALL RDI.
      for (const frame of [...frames, ...frames]) {
        code.push(0x48, 0xc7, 0x04, 0x25, ...dword(tableOf(2)), ...dword(frame | present), 0x0f, 0x01, 0x3f);
        code.push(0xc1, 0xe0, 4, 0xff, 0xd7, 0xc1, 0xe0, 4, 0xff, 0xd7);
      }
      guest.start('long', code, { registers: { RDI: HIGH, RAX: 0n, CR4: CR4.PAE } });
      guest.setNumber(PLACE.tables + 8 * 511, 8, tableOf(0) | present);
      for (let level = 0; level < 2; level++) guest.setNumber(tableOf(level), 8, tableOf(level + 1) | present);
      // OR AL, number of the frame; RET.
      for (const [i, frame] of frames.entries()) guest.write(frame, [0x0c, i + 1, 0xc3]);
      assert.equal(guest.run().vector, 3);
      assert.equal(guest.get('RAX'), 0x11221122n);
    });

    test('INVLPG of a page makes instructions that begin on the page before and end there what they are now', () => {
      const PAGES = -(1n << 39n);
      const tableOf = (level: number): number => 0x60000 + level * 0x1000;
      const [first, ...frames] = [0x90000, 0x91000, 0x92000];
      const present = ENTRY.P | ENTRY.RW;
      const code: number[] = [];
      // MOV QWORD [table], frame; INVLPG [RSI]; CALL RDI.
      for (const frame of frames) {
        code.push(0x48, 0xc7, 0x04, 0x25, ...dword(tableOf(2) + 8), ...dword(frame | present), 0x0f, 0x01, 0x3e);
        code.push(0xff, 0xd7);
      }
      const registers = { RDI: PAGES + 0xffdn, RSI: PAGES + 0x1000n, RAX: 0n, CR4: CR4.PAE };
      guest.start('long', code, { registers });
      guest.setNumber(PLACE.tables + 8 * 511, 8, tableOf(0) | present);
      for (let level = 0; level < 2; level++) guest.setNumber(tableOf(level), 8, tableOf(level + 1) | present);
      guest.setNumber(tableOf(2), 8, first! | present);
      // ADD EAX, imm32, of which a byte is on the first page; RET.
      guest.write(first! + 0xffd, [0x81, 0xc0, 1]);
      for (const [i, frame] of frames.entries()) guest.write(frame, [0, 0, i + 1, 0xc3]);
      assert.equal(guest.run().vector, 3);
      assert.equal(guest.get('RAX'), 0x0300_0002n);
    });

    test('INVPCID refuses bad types and descriptors', () => {
      const invalidate = (type: bigint, pcid: bigint, address: bigint, cr4 = CR4.PAE): number => {
        // INVPCID RAX, [data].
        guest.start('long', [0x66, 0x0f, 0x38, 0x82, 0x04, 0x25, ...dword(PLACE.data)], {
          registers: { RAX: type, CR4: cr4 },
        });
        guest.setNumber(PLACE.data, 8, pcid);
        guest.setNumber(PLACE.data + 8, 8, address);
        return guest.run().vector;
      };
      assert.equal(invalidate(0n, 0n, 0x1000n), 3);
      assert.equal(invalidate(0n, 0n, 1n << 47n), GP);
      assert.equal(invalidate(1n, 5n, 0n), GP, 'a PCID without PCIDE');
      assert.equal(invalidate(1n, 5n, 0n, CR4.PAE | CR4.PCIDE), 3);
      assert.equal(invalidate(2n, 1n << 12n, 0n), GP);
      assert.equal(invalidate(3n, 0n, 1n << 47n), 3);
      assert.equal(invalidate(4n, 0n, 0n), GP);
    });

    test('SMEP and SMAP keep level 0 from pages of level 3', () => {
      const run = (code: readonly number[], cr4: bigint, flags = 0): readonly [number, number | undefined] => {
        guest.start('long', code, { flags, registers: { CR4: CR4.PAE | cr4 } });
        // PAGE is of level 3; what is below is not.
        guest.setNumber(PLACE.tables + 0x2000, 8, 0xe3);
        guest.setNumber(PLACE.tables + 0x2010, 8, 0xe7);
        guest.write(0, [0xc3]);
        const { vector, code: error } = guest.run();
        return [vector, error];
      };
      const read = [0x8b, 0x04, 0x25, ...dword(PAGE)];
      const call = [0xe8, ...dword(PAGE - PLACE.code - 5)];
      assert.deepEqual(run(read, 0n), [3, undefined]);
      assert.deepEqual(run(call, 0n), [3, undefined]);
      assert.deepEqual(run(call, CR4.SMEP), [PF, ERROR.P | ERROR.I]);
      assert.deepEqual(run(read, CR4.SMAP), [PF, ERROR.P]);
      assert.deepEqual(run(read, CR4.SMAP, 0x40000), [3, undefined], 'AC lifts it');
      assert.deepEqual(
        run([0x0f, 0x01, 0xcb, ...read, 0x0f, 0x01, 0xca, ...read], CR4.SMAP),
        [PF, ERROR.P],
        'STAC, CLAC',
      );
    });

    test('a mapping that is taken away is gone with a load of CR3 or INVLPG', () => {
      const remap = [0x48, 0xc7, 0x04, 0x25, ...dword(PLACE.tables + 0x2010), ...dword(0)];
      const read = [0x8b, 0x04, 0x25, ...dword(PAGE)];
      const reload = [0x0f, 0x20, 0xd8, ...toControl(3)];
      const run = (flush: readonly number[]): number => {
        guest.start('long', [...read, ...remap, ...flush, ...read], { registers: { CR4: CR4.PAE | CR4.PGE } });
        guest.setNumber(PLACE.tables + 0x2010, 8, 0xe7);
        return guest.run().vector;
      };
      assert.equal(run(reload), PF);
      assert.equal(run([0x0f, 0x01, 0x3c, 0x25, ...dword(PAGE)]), PF);
    });
  });
}
