import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Script } from '../../../test/support/scripted-engine.ts';
import { ScriptedEngine } from '../../../test/support/scripted-engine.ts';
import { tinyGuest } from '../../../test/support/tiny-guest.ts';
import type { EngineHost } from '../../engine/engine.ts';
import { nodeHost } from '../../host/node/time.ts';
import { UserError } from '../../user-error.ts';
import { VIRTUAL_EPOCH_MS } from '../machine.ts';
import { SplitMix64 } from '../random.ts';
import type { PcOptions } from './pc.ts';
import { createPcMachine } from './pc.ts';

const MIB = 2 ** 20;
const KERNEL = tinyGuest([0xf4]);
const HALT = { kind: 'halted' } as const;

function pc(script: Script, options: Partial<PcOptions> = {}) {
  const printed: number[] = [];
  const machine = createPcMachine({
    engine: new ScriptedEngine(4 * MIB, script),
    host: nodeHost,
    clock: 'virtual',
    boot: { kernel: { name: 'kernel', bytes: KERNEL }, initrds: [], commandLine: '' },
    serial: { write: (bytes) => printed.push(...bytes) },
    timeoutMs: 20_000,
    ...options,
  });
  return { machine, printed };
}

const softOff = ({ ports }: EngineHost): void => ports.write(0x604, 2, (1 << 13) | (5 << 10));
const once = (action: (host: EngineHost) => void): Script =>
  function* (host) {
    yield 1;
    action(host);
    for (;;) yield 1;
  };

test('the processor starts as the boot loader says', async () => {
  let rip = 0n;
  const { machine } = pc(function* (host, registers) {
    rip = registers.get('RIP')!;
    softOff(host);
    for (;;) yield 1;
  });
  assert.deepEqual(await machine.run(), { kind: 'poweredOff' });
  assert.equal(rip, 0x10_0020n);
});

test('soft-off, the debug-exit port and a triple fault end the run', async () => {
  assert.deepEqual(await pc(once(softOff)).machine.run(), { kind: 'poweredOff' });
  const exit = once(({ ports }) => ports.write(0xf4, 1, 0x21));
  assert.deepEqual(await pc(exit, { debugExitPort: 0xf4 }).machine.run(), { kind: 'debugExit', code: 0x43 });
  const fault = pc(function* () {
    yield { kind: 'shutdown' };
  });
  assert.deepEqual(await fault.machine.run(), { kind: 'shutdown' });
});

const RESETS: ReadonlyMap<string, (host: EngineHost) => void> = new Map([
  ['the ACPI reset register', ({ ports }: EngineHost) => ports.write(0xcf9, 1, 6)],
  ['the keyboard controller', ({ ports }: EngineHost) => ports.write(0x64, 1, 0xfe)],
  ['system control port A', ({ ports }: EngineHost) => ports.write(0x92, 1, 1)],
]);
for (const [name, reset] of RESETS) {
  test(`${name} restarts the guest, loaded anew`, async () => {
    const starts: number[] = [];
    const engine = new ScriptedEngine(4 * MIB, function* (host) {
      starts.push(engine.memory.bytes[0x10_0020]!);
      engine.memory.bytes.fill(0, 0x10_0000, 0x10_1000);
      yield 1000;
      if (starts.length < 3) reset(host);
      else softOff(host);
      for (;;) yield 1;
    });
    const { machine } = pc(function* () {}, { engine });
    assert.deepEqual(await machine.run(), { kind: 'poweredOff' });
    assert.deepEqual(starts, [0xf4, 0xf4, 0xf4]);
    const { restarts, instructions, guestNs } = machine.statistics();
    assert.equal(restarts, 2);
    assert.ok(instructions >= 3000);
    assert.equal(guestNs, instructions * 10);
  });

  test(`${name} ends the run when reboots are forbidden`, async () => {
    assert.deepEqual(await pc(once(reset), { noReboot: true }).machine.run(), { kind: 'reset' });
  });
}

test('bytes go out of and come into the serial port', async () => {
  const { machine, printed } = pc(
    function* ({ ports }) {
      ports.write(0x3f9, 1, 1);
      for (let typed = 0; typed !== 0x71; ) {
        while ((ports.read(0x3fd, 1) & 1) === 0) yield 10;
        ports.write(0x3f8, 1, (typed = ports.read(0x3f8, 1)));
      }
      ports.write(0x604, 2, (1 << 13) | (5 << 10));
      for (;;) yield 1;
    },
    { clock: 'real' },
  );
  const result = machine.run();
  machine.serialInput(new TextEncoder().encode('hq'));
  assert.deepEqual(await result, { kind: 'poweredOff' });
  assert.equal(String.fromCharCode(...printed), 'hq');
});

/** Programs the PIC and the PIT: `ticks` one-shot interrupts, then soft-off. */
const ticking = (times: bigint[], ticks: number): Script =>
  function* (host) {
    const { ports, interrupts } = host;
    const out = (port: number, ...values: number[]): void => {
      for (const value of values) ports.write(port, 1, value);
    };
    out(0x20, 0x11);
    out(0x21, 0x20, 0x04, 0x01, 0xfe);
    for (let i = 0; i < ticks; i++) {
      out(0x43, 0x30);
      out(0x40, 0xa9, 0x04);
      while (!interrupts.pending()) yield HALT;
      assert.equal(interrupts.acknowledge(), 0x20);
      times.push(host.timestamp());
      out(0x20, 0x20);
    }
    softOff(host);
    for (;;) yield 1;
  };

test('a halted virtual machine skips to each timer interrupt', async () => {
  const times: bigint[] = [];
  const { machine } = pc(ticking(times, 1000));
  const start = Date.now();
  assert.deepEqual(await machine.run(), { kind: 'poweredOff' });
  assert.ok(Date.now() - start < 900);
  // 1193 ticks of 1.193182 MHz.
  const period = Number(times.at(-1)! - times[0]!) / 999;
  assert.ok(Math.abs(period - 999_847) < 2000, `${period}`);
});

test('a halted real machine sleeps until the timer interrupt', async () => {
  const times: bigint[] = [];
  const { machine } = pc(ticking(times, 20), { clock: 'real' });
  assert.deepEqual(await machine.run(), { kind: 'poweredOff' });
  const { busyNs, wallNs } = machine.statistics();
  assert.ok(wallNs > 19e6 && busyNs < wallNs / 2, `${busyNs} of ${wallNs}`);
});

test('a guest that never halts lets the host work, time out and stop', async () => {
  const spin: Script = function* () {
    for (;;) yield 1000;
  };
  for (const clock of ['real', 'virtual'] as const) {
    assert.deepEqual(await pc(spin, { clock, timeoutMs: 30 }).machine.run(), { kind: 'timedOut' });
    const { machine } = pc(spin, { clock });
    setTimeout(() => machine.stop(), 10);
    assert.deepEqual(await machine.run(), { kind: 'stopped' });
  }
});

test('a machine that sleeps for ever wakes to stop', async () => {
  const { machine } = pc(function* () {}, { clock: 'real' });
  setTimeout(() => machine.stop(), 10);
  assert.deepEqual(await machine.run(), { kind: 'stopped' });
});

test('the power button asks the guest', async () => {
  const { machine } = pc(
    function* ({ ports }) {
      ports.write(0x602, 2, 1 << 8);
      while ((ports.read(0x600, 2) & (1 << 8)) === 0) yield 100;
      ports.write(0x604, 2, (1 << 13) | (5 << 10));
      for (;;) yield 1;
    },
    { clock: 'real' },
  );
  setTimeout(() => machine.pressPowerButton(), 10);
  assert.deepEqual(await machine.run(), { kind: 'poweredOff' });
});

test('PCI has a host bridge and virtio functions whose memory is decoded', async () => {
  const ids: string[] = [];
  const { machine } = pc(
    once((host) => {
      for (let slot = 0; slot < 32; slot++) {
        host.ports.write(0xcf8, 4, 0x8000_0000 + slot * 0x800);
        const id = host.ports.read(0xcfc, 4);
        assert.equal(host.mmio.read(0xe000_0000 + slot * 0x8000, 4), id);
        if (id !== 0xffff_ffff) ids.push(id.toString(16));
      }
      host.ports.write(0xcf8, 4, 0x8000_0804);
      assert.equal(host.ports.read(0xcfc, 2) & 2, 2);
      softOff(host);
    }),
    { console: { write: () => {} } },
  );
  assert.deepEqual(await machine.run(), { kind: 'poweredOff' });
  assert.deepEqual(ids, ['12378086', '10431af4', '10441af4']);
  assert.ok(machine.statistics().accesses.get('pci-config-data')!.reads >= 33);
});

test('the local APIC is where IA32_APIC_BASE says', async () => {
  const ENABLED = 0x900n;
  const [DEFAULT, FREE, IO_APIC] = [0xfee0_0000, 0xfe00_0000, 0xfec0_0000];
  const VERSION = 0x00050014;
  const seen: unknown[] = [];
  const { machine } = pc(
    once((host) => {
      const { mmio, msrs } = host;
      const version = (base: number): number => mmio.read(base + 0x30, 4);
      const move = (base: number): boolean => msrs.write(0x1b, BigInt(base) | ENABLED);
      seen.push(version(DEFAULT), version(FREE));
      seen.push(move(FREE), version(DEFAULT), version(FREE));
      // Another device's place stays that device's.
      const before = version(IO_APIC);
      seen.push(move(IO_APIC), version(IO_APIC) === before, version(FREE));
      seen.push(move(DEFAULT), version(DEFAULT));
      softOff(host);
    }),
  );
  await machine.run();
  const NONE = 0xffff_ffff;
  assert.deepEqual(seen, [VERSION, NONE, true, NONE, VERSION, true, true, NONE, true, VERSION]);
});

test('virtual time begins at a fixed date', async () => {
  const cmos: number[] = [];
  const { machine } = pc(
    once((host) => {
      for (const register of [9, 8, 7]) {
        host.ports.write(0x70, 1, register);
        cmos.push(host.ports.read(0x71, 1));
      }
      softOff(host);
    }),
  );
  await machine.run();
  const date = new Date(VIRTUAL_EPOCH_MS);
  const bcd = (value: number): number => Number.parseInt(`${value}`, 16);
  assert.deepEqual(cmos, [date.getUTCFullYear() % 100, date.getUTCMonth() + 1, date.getUTCDate()].map(bcd));
});

test('RDRAND repeats under a virtual clock and does not under a real one', async () => {
  const draw = async (clock: 'real' | 'virtual'): Promise<bigint> => {
    let drawn = 0n;
    await pc(
      once((host) => {
        drawn = host.entropy();
        softOff(host);
      }),
      { clock },
    ).machine.run();
    return drawn;
  };
  assert.equal(await draw('virtual'), await draw('virtual'));
  assert.notEqual(await draw('real'), await draw('real'));
});

test('memory beyond the board is refused', () => {
  assert.throws(() => pc(function* () {}, { engine: new ScriptedEngine(MIB, function* () {}) }), UserError);
});

test('a run that fails to load rejects with the reason', async () => {
  const kernel = { name: 'noise', bytes: new Uint8Array(100) };
  const { machine } = pc(function* () {}, { boot: { kernel, initrds: [], commandLine: '' } });
  await assert.rejects(machine.run(), /noise is not a kernel/);
  await delay(0);
});

/** Every window but the ports that switch off or reset. */
const PORTS = [
  0x20, 0x21, 0x40, 0x41, 0x42, 0x43, 0x60, 0x61, 0x70, 0x71, 0x80, 0xa0, 0xa1, 0x3f8, 0x3f9, 0x3fa, 0x3fb,
];
const MORE_PORTS = [0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x4d0, 0x4d1, 0x600, 0x602, 0x608, 0x620, 0xcfc, 0xcfe, 0xcff];
const WINDOWS = [0xc000_0000, 0xc000_8000, 0xe000_0000, 0xe000_8000, 0xfec0_0000, 0xfee0_0000];

test('no access of a guest throws out of the board or gives a value too wide', async () => {
  const seed = BigInt(Date.now());
  const random = new SplitMix64(seed);
  const next = () => random.next();
  const below = (limit: number): number => Number(next() % BigInt(limit));
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const { machine } = pc(
    function* ({ mmio, ports, msrs }) {
      for (let i = 0; i < 60_000; i++) {
        // Four bytes at a port would reach those that switch off.
        const [bus, address, width] = pick([
          [ports, pick([...PORTS, ...MORE_PORTS]), pick([1, 2] as const)],
          [mmio, pick(WINDOWS) + below(0x5000), pick([1, 2, 4] as const)],
        ]);
        if (i % 4 === 0) ports.write(0xcf8, 4, 0x8000_0000 + below(0x2000));
        if (i % 16 === 0) msrs.write(0x800 + below(0x40), next());
        if (below(2) === 0) bus.write(address, width, below(2 ** (8 * width)));
        const value = bus.read(address, width);
        const fits = Number.isInteger(value) && value >= 0 && value < 2 ** (8 * width);
        assert.ok(fits, `seed ${seed}: ${width} bytes at ${address.toString(16)} read ${value}`);
        yield below(100);
      }
      yield { kind: 'shutdown' };
    },
    { console: { write: () => {} }, timeoutMs: 60_000 },
  );
  assert.deepEqual(await machine.run(), { kind: 'shutdown' });
});
