/** Machines whose memory comes while they run: nothing sees what has not come, and what cannot come ends them. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { RestoreOptions } from '../../src/api/restore.ts';
import { restoreMachine } from '../../src/api/restore.ts';
import { nodeHost } from '../../src/host/node/host.ts';
import { Machine, UserError } from '../../src/host/node/index.ts';
import { GENERATION_ID } from '../../src/machine/boards/pc-layout.ts';
import { readPlaces } from '../../src/snapshot/random-access.ts';
import { MemoryFile } from '../../src/storage/memory-file.ts';
import { OverlayDisk } from '../../src/storage/overlay.ts';
import { RawDisk } from '../../src/storage/raw.ts';
import { PROMPT } from '../support/boot.ts';
import { poisoned } from '../support/poison.ts';
import { contents, SnapshotBytes, saved, streamOf, transcript } from '../support/snapshots.ts';
import { scratch, trapeze } from '../support/trapeze.ts';

const MEMORY = '64M';
const DISK_BYTES = 2 ** 20;
const END = 'finished\r\n';
/** Console, disk, page cache, processes. */
const WORK = [
  'seq 20000 | gzip | tee /tmp/z | md5sum',
  'dd if=/dev/vda bs=4k count=99 2>/dev/null | md5sum',
  'seq 9000 | dd of=/dev/vda bs=4k conv=notrunc,fsync 2>/dev/null',
  'for i in 1 2 3; do gunzip -c /tmp/z | tail -n1; md5sum /dev/vda; done',
  'echo fin"ish"ed',
].join('; ');
const POINTS = 6;

const disk = (): OverlayDisk =>
  new OverlayDisk(new RawDisk(new MemoryFile(), { size: DISK_BYTES, readOnly: true }), new MemoryFile());

interface Outcome {
  readonly text: string;
  readonly instructions: number;
  readonly state: readonly string[];
}

/** Types the work at the prompt, unless it was typed before, and takes a snapshot when it is done. */
async function finish(machine: Machine, before: string, atEnd: () => void = () => {}): Promise<Outcome> {
  const text = transcript(machine);
  const snapshot = new Promise<Uint8Array>((resolve, reject) => {
    machine.onOutput(() => {
      if (!(before + text()).endsWith(END)) return;
      atEnd();
      // Not before all has come: the guest then stands at the same boundary whatever that takes.
      void machine.pause();
      saved(machine).then(resolve, reject);
    });
  });
  work(machine, before, text);
  const run = machine.run();
  const state = await contents(await Promise.race([snapshot, run.then(() => assert.fail('the run ended early'))]));
  const { instructions } = machine.statistics();
  machine.stop();
  await run;
  return { text: before + text(), instructions, state };
}

function work(machine: Machine, before: string, text: () => string): void {
  let typed = (before + text()).includes(PROMPT);
  machine.onOutput(() => {
    if (typed || !(before + text()).endsWith(PROMPT)) return;
    typed = true;
    machine.write(`${WORK}\n`);
  });
}

/** A snapshot of the guest at work, after some turns of the event loop. */
async function saveAt(turns: number): Promise<{ readonly snapshot: Uint8Array; readonly text: string } | undefined> {
  const machine = await Machine.create({ memory: MEMORY, clock: 'virtual', disks: [disk()] });
  const text = transcript(machine);
  work(machine, '', text);
  const run = machine.run();
  for (let i = 0; i < turns && !text().endsWith(END); i++) await turn();
  // It must not print between the two.
  await machine.pause();
  const snapshot = await saved(machine);
  const shown = text();
  machine.stop();
  await run;
  return shown.includes(END) ? undefined : { snapshot, text: shown };
}

const onDemand = (source: SnapshotBytes, options: RestoreOptions = {}): Promise<Machine> =>
  restoreMachine(nodeHost, source, { load: 'demand', ...options });

test('a guest whose memory comes when it looks does what it does with all of it, on each tier, saved at random points', async () => {
  const whole = await finish(await Machine.create({ memory: MEMORY, clock: 'virtual', disks: [disk()] }), '');
  assert.match(whole.text, /finished/);
  let compared = 0;
  for (let i = 0; i < POINTS; i++) {
    const turns = 1 + Math.floor(Math.random() * 80 * (i + 1));
    const half = await saveAt(turns);
    if (half === undefined) continue;
    const source = new SnapshotBytes(half.snapshot);
    const tier = (['both', 'interpreter'] as const)[i % 2]!;
    const { made, pages } = await poisoned(() => onDemand(source, { disks: [disk()], tier }));
    assert.ok(pages > 0);
    // All that comes is what the guest looks at.
    source.hold();
    const outcome = await finish(made, half.text, () => source.release());
    assert.deepEqual(outcome, whole, `saved after ${turns} turns, ${tier}`);
    const { arrival } = made.statistics();
    assert.ok(arrival!.waits > 0 && arrival!.arrived === arrival!.pages && source.closed);
    compared++;
  }
  assert.ok(compared > 0);
});

/** A guest of so much memory at its prompt, with noise in most of it. */
async function full(
  memory: string,
  noise: number,
): Promise<{ readonly machine: Machine; readonly run: Promise<unknown> }> {
  const machine = await Machine.create({ memory });
  const run = machine.run();
  await machine.waitForText(PROMPT);
  machine.write(`mount -t tmpfs -o size=90% none /mnt; head -c ${noise} /dev/urandom > /mnt/noise; echo "fu"ll\n`);
  await machine.waitForText('full\r\n');
  await machine.waitForText(PROMPT);
  return { machine, run };
}
const NOISE = 40 * 2 ** 20;
const { machine: noisy, run: noisyRun } = await full('96M', NOISE);
const SNAPSHOT = await saved(noisy);
noisy.write('echo kept > /mnt/file\n');
await noisy.waitForText(PROMPT);
await noisy.pause();
const DIFF = await saved(noisy, SNAPSHOT);
noisy.stop();
await noisyRun;

/** A copy with one bit of the last section of memory flipped. */
async function damaged(): Promise<Uint8Array> {
  const { places } = await readPlaces(new SnapshotBytes(SNAPSHOT), 96 * 2 ** 20);
  const bytes = SNAPSHOT.slice();
  bytes[places.pages.at(-1)!.offset + 99]! ^= 8;
  return bytes;
}

const oneLine = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof UserError);
  assert.match(error.message, message);
  assert.ok(!error.message.includes('\n'));
  return true;
};

test('a large snapshot answers when a small part of it was read; then the rest comes', async () => {
  const source = new SnapshotBytes(SNAPSHOT);
  // Large: on demand without being asked.
  const machine = await restoreMachine(nodeHost, source);
  source.hold();
  const run = machine.run();
  machine.write('echo he"l"lo\n');
  await machine.waitForText('hello');
  assert.ok(source.taken < SNAPSHOT.length / 4, `${source.taken} bytes of ${SNAPSHOT.length}`);
  source.release();
  machine.write(`wc -c < /mnt/noise; md5sum /mnt/noise > /tmp/sum; md5sum -c /tmp/sum\n`);
  await machine.waitForText(`${NOISE}\r\n`);
  await machine.waitForText('noise: OK');
  while (!source.closed) await turn();
  const { arrival } = machine.statistics();
  assert.equal(arrival!.arrived, arrival!.pages);
  machine.stop();
  await run;
});

test('all of memory is there, on the reference engine too, and where a diff and its base have it', async () => {
  // Each restored machine has an identifier of its own.
  const but = Math.floor(GENERATION_ID / 4096);
  const memoryOf = async (machine: Machine): Promise<string> => (await contents(await resaved(machine), but)).at(-1)!;
  const whole = await memoryOf(await restoreMachine(nodeHost, streamOf(SNAPSHOT)));
  const engines = ['wasm', 'reference'] as const;
  for (const engine of engines) {
    assert.equal(await memoryOf(await onDemand(new SnapshotBytes(SNAPSHOT), { engine })), whole, engine);
  }
  const [diff, base] = [new SnapshotBytes(DIFF), new SnapshotBytes(SNAPSHOT)];
  const machine = await onDemand(diff, { base });
  const run = machine.run();
  machine.write('cat /mnt/file; wc -c < /mnt/noise\n');
  await machine.waitForText(`kept\r\n${NOISE}`);
  machine.stop();
  await run;
  assert.ok(diff.closed && base.closed);
  const other = new SnapshotBytes(DIFF);
  await assert.rejects(onDemand(new SnapshotBytes(DIFF), { base: other }), oneLine(/its base builds on another one/));
  assert.ok(other.closed);
});

/** What a machine is that has not executed an instruction since it was restored. */
async function resaved(machine: Machine): Promise<Uint8Array> {
  void machine.pause();
  const run = machine.run();
  const snapshot = await saved(machine);
  machine.stop();
  await run;
  return snapshot;
}

test('a damaged part of memory ends the machine with a line when it is read, asked for or not', async () => {
  const bytes = await damaged();
  const line = oneLine(
    /^test\.snap: the snapshot cannot be opened: it is damaged \(the section at byte \d+ has another/,
  );
  const idle = await onDemand(new SnapshotBytes(bytes));
  await assert.rejects(idle.run(), line);
  assert.equal(idle.state, 'ended');

  const source = new SnapshotBytes(bytes);
  const busy = await onDemand(source);
  source.hold();
  const run = busy.run();
  const text = transcript(busy);
  busy.write('md5sum /mnt/noise\n');
  await assert.rejects(run, line);
  assert.doesNotMatch(text(), /[0-9a-f]{32}/);
  await assert.rejects(restoreMachine(nodeHost, streamOf(bytes)), /damaged/);
});

test('a source that fails for good ends the machine with its line, whoever asks: guest, disk, save', async () => {
  for (const what of ['md5sum /mnt/noise', 'dd if=/dev/vda of=/tmp/x bs=64k'] as const) {
    const backend = disk();
    const machine = await Machine.create({ memory: MEMORY, disks: [backend] });
    const first = machine.run();
    await machine.waitForText(PROMPT);
    const source = new SnapshotBytes(what.startsWith('dd') ? await saved(machine) : SNAPSHOT);
    machine.stop();
    await first;
    const next = await onDemand(source, { disks: what.startsWith('dd') ? [disk()] : [] });
    source.hold();
    const run = next.run();
    source.broken = true;
    next.write(`${what}\n`);
    await assert.rejects(run, oneLine(/^test\.snap: the server is gone$/), what);
  }
  const source = new SnapshotBytes(SNAPSHOT);
  const machine = await onDemand(source);
  const run = machine.run();
  source.broken = true;
  await Promise.all([assert.rejects(saved(machine), /the server is gone/), assert.rejects(run, /the server is gone/)]);
});

test('the guest restarts with what it booted from, which comes last', async () => {
  const kernel = readFileSync(new URL('../../guest/images/vmlinuz-x86_64', import.meta.url));
  const initrd = readFileSync(new URL('../../guest/images/initramfs-x86_64.cpio', import.meta.url));
  const append = 'console=ttyS0 quiet';
  const machine = await Machine.create({ memory: MEMORY, kernel, initrd: [initrd], append });
  const first = machine.run();
  await machine.waitForText(PROMPT);
  const source = new SnapshotBytes(await saved(machine));
  machine.stop();
  await first;
  const next = await onDemand(source);
  source.hold();
  const run = next.run();
  next.reset();
  setTimeout(() => source.release(), 100);
  await next.waitForText(PROMPT);
  next.stop();
  assert.deepEqual(await run, { kind: 'stopped' });
});

test('the command runs on demand or whole as asked, and tells what it cannot do', async (t) => {
  const file = scratch(t)('noisy.snap');
  writeFileSync(file, SNAPSHOT);
  const stats = `${file}.json`;
  const arrival = async (...words: string[]): Promise<{ pages: number; arrived: number } | null> => {
    const typed = 'echo "d"one; poweroff\n';
    const { code, stdout, stderr } = await trapeze(['run', '--snapshot', file, '--stats', stats, ...words], typed);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /done/);
    return JSON.parse(readFileSync(stats, 'utf8')).arrival;
  };
  assert.ok((await arrival())!.pages > NOISE / 4096);
  assert.equal(await arrival('--load', 'whole'), null);
  writeFileSync(file, await damaged());
  const { code, stderr } = await trapeze(['run', '--snapshot', file], 'md5sum /mnt/noise; poweroff\n');
  assert.equal(code, 2);
  assert.match(stderr, /^trapeze: [^\n]*noisy\.snap: the snapshot cannot be opened: it is damaged [^\n]*\n$/);
  const alone = await trapeze(['run', '--load', 'demand']);
  assert.deepEqual([alone.code, alone.stderr], [2, 'trapeze: --load: is for --snapshot: leave it out\n']);
  await assert.rejects(
    restoreMachine(nodeHost, streamOf(SNAPSHOT), { load: 'demand' }),
    oneLine(/load: a stream can only be read whole: give a file/),
  );
});
