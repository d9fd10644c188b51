/** Snapshots of whole guests: in another process, with time, randomness and disks. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Machine, saveToFile, UserError } from '../../src/host/node/index.ts';
import { MemoryFile } from '../../src/storage/memory-file.ts';
import { OverlayDisk } from '../../src/storage/overlay.ts';
import { RawDisk } from '../../src/storage/raw.ts';
import { PROMPT } from '../support/boot.ts';
import { SlowDisk } from '../support/disks.ts';
import { restored, saved, streamOf, transcript } from '../support/snapshots.ts';
import { COMMAND, scratch, trapeze } from '../support/trapeze.ts';
import { runCycles } from './cycles.ts';

const MEMORY = '64M';
const CYCLES = 8;
const LINES = 300_000;
/** How long a guest does not run. */
const AWAY_MS = 2000;

/** A machine at its prompt. */
async function atPrompt(options: Parameters<typeof Machine.create>[0] = {}) {
  const machine = await Machine.create({ memory: MEMORY, ...options });
  const text = transcript(machine);
  const run = machine.run();
  await machine.waitForText(PROMPT);
  return { machine, text, run };
}

/** Runs a line of shell on a machine out of a snapshot and powers off; what it printed. */
async function say(machine: Machine, line: string): Promise<string> {
  const text = transcript(machine);
  const run = machine.run();
  machine.write(`echo "<$((1))<"; ${line}; echo ">$((2))>"; poweroff\n`);
  assert.deepEqual(await run, { kind: 'poweredOff' });
  return /<1<\n(.*)>2>/s.exec(text().replaceAll('\r', ''))![1]!.trim();
}

test('a machine saved while it compresses a large file finishes it in another process', async (t) => {
  const file = scratch(t)('busy.snap');
  const { machine, run } = await atPrompt();
  machine.write(`seq ${LINES} > big; echo "star"ted; gzip -c big > big.gz; gunzip -c big.gz | md5sum\n`);
  await machine.waitForText('started');
  await delay(50);
  await saveToFile(machine, file);
  machine.stop();
  await run;
  const { code, stdout, stderr } = await trapeze(['run', '--snapshot', file], 'echo "d"one; poweroff\n');
  assert.deepEqual([code, stderr], [0, '']);
  const numbers = Array.from({ length: LINES }, (_, i) => `${i + 1}\n`).join('');
  assert.match(stdout, new RegExp(createHash('md5').update(numbers).digest('hex')));
  assert.match(stdout, /done/);
});

test(`${CYCLES} machines one after the other lose nothing that was typed, printed or written`, async () => {
  const { cycles, lines, problem } = await runCycles(CYCLES);
  assert.equal(problem, undefined);
  assert.equal(cycles, CYCLES);
  assert.ok(lines > 0);
});

test('two machines out of one snapshot draw different random numbers, and their time is as asked', async () => {
  const { machine, run } = await atPrompt();
  const snapshot = await saved(machine);
  machine.stop();
  await run;
  await delay(AWAY_MS);
  const line = 'od -An -tx8 -N16 /dev/urandom | tr -d "\\n"; date +" %s"';
  const drawn = new Set<string>();
  for (const clock of ['continue', 'continue', 'jump'] as const) {
    const from = Date.now();
    const [a, b, seconds] = (await say(await restored(snapshot, { clock }), line)).split(/\s+/);
    drawn.add(a!).add(b!);
    const guest = Number(seconds) * 1000;
    // The guest tells whole seconds.
    if (clock === 'jump') assert.ok(guest > from - 1500 && guest < Date.now() + 500, `${guest} of ${from}`);
    else assert.ok(guest < Date.now() - AWAY_MS + 500, `${guest} of ${Date.now()}`);
  }
  assert.equal(drawn.size, 6);
});

test('a write that is under way when a machine is saved is in the snapshot as done', async () => {
  const disk = new SlowDisk(2 ** 20);
  const { machine, run } = await atPrompt({ disks: [disk] });
  machine.write('while :; do seq 9999 | dd of=/dev/vda bs=4k conv=notrunc,fsync 2>/dev/null; done\n');
  while (disk.writesUnderWay === 0) await delay(0);
  await machine.pause();
  const snapshot = await saved(machine);
  assert.equal(disk.writesUnderWay, 0);
  machine.stop();
  await run;
  const next = await restored(snapshot, { disks: [disk] });
  const going = next.run();
  next.write('\x03sync; head -c 20 /dev/vda | md5sum; poweroff\n');
  const text = transcript(next);
  assert.deepEqual(await going, { kind: 'poweredOff' });
  const start = Array.from({ length: 99 }, (_, i) => `${i + 1}\n`)
    .join('')
    .slice(0, 20);
  assert.match(text(), new RegExp(createHash('md5').update(start).digest('hex')));
});

const overlay = (base: Uint8Array): OverlayDisk => {
  const file = new MemoryFile();
  void file.write(0, base);
  return new OverlayDisk(new RawDisk(file, { size: base.length, readOnly: true }), new MemoryFile());
};

test('what a guest wrote over a disk that stays as it is comes with the snapshot; another disk is refused', async () => {
  const base = new Uint8Array(2 ** 20).fill(0x61);
  const { machine, run } = await atPrompt({ disks: [overlay(base)] });
  machine.write('echo kept | dd of=/dev/vda bs=512 seek=9 conv=notrunc,sync,fsync 2>/dev/null; echo "writ"ten\n');
  await machine.waitForText('written');
  const snapshot = await saved(machine);
  machine.stop();
  await run;
  const read = 'dd if=/dev/vda bs=512 skip=9 count=1 2>/dev/null | head -n1; head -c 3 /dev/vda';
  assert.equal(await say(await restored(snapshot, { disks: [overlay(base)] }), read), 'kept\naaa');

  const other = base.slice();
  other[1030] = 0;
  const line = (message: RegExp) => (error: unknown) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, message);
    assert.ok(!error.message.includes('\n'));
    return true;
  };
  await assert.rejects(restored(snapshot), line(/taken with 1 disk, not 0 disks; give, in this order: a disk of/));
  await assert.rejects(restored(snapshot, { disks: [overlay(other)] }), line(/disk 1 is another disk, or has changed/));
  await assert.rejects(
    restored(snapshot, { disks: [overlay(base.subarray(512))] }),
    line(/has 1048064 bytes, and had/),
  );
  await assert.rejects(
    restored(snapshot, { disks: [new SlowDisk(2 ** 20)] }),
    line(/disk 1 was copy-on-write \(cow\)/),
  );
});

test('a restored machine can be reset, saved again, and has its own kernel', async () => {
  const { machine, run } = await atPrompt();
  machine.write('cd /tmp; again=1\n');
  await machine.waitForText('# ');
  const first = await saved(machine);
  machine.stop();
  await run;
  const second = await restored(first);
  const going = second.run();
  const snapshot = await saved(second);
  second.reset();
  await second.waitForText(PROMPT);
  second.write('echo "again=$again"; poweroff\n');
  await second.waitForText(/again=\r/);
  assert.deepEqual(await going, { kind: 'poweredOff' });
  assert.equal(await say(await restored(snapshot), 'echo $PWD $again'), '/tmp 1');
});

test('a snapshot against a base is small, needs that base, and opens as a complete one', async () => {
  const { machine, run } = await atPrompt();
  const base = await saved(machine);
  machine.write('echo changed > /tmp/file; sync\n');
  await machine.waitForText('# ');
  await machine.pause();
  const whole = await saved(machine);
  const part = await saved(machine, base);
  machine.stop();
  await run;
  assert.ok(part.length < whole.length / 3, `${part.length} bytes of ${whole.length}`);
  assert.equal(await say(await restored(part, { base: streamOf(base) }), 'cat /tmp/file'), 'changed');

  await assert.rejects(restored(part), /holds only what differs from the snapshot \w+: give that as base/);
  await assert.rejects(restored(whole, { base: streamOf(base) }), /the snapshot is complete: leave the base out/);
  await assert.rejects(restored(part, { base: streamOf(whole) }), /it builds on the snapshot \w+, and \w+ was given/);
  await assert.rejects(restored(part, { base: streamOf(part) }), /its base builds on another one/);
});

test('a machine that does not run cannot be saved', async () => {
  const machine = await Machine.create({ memory: MEMORY });
  await assert.rejects(saved(machine), /not running/);
});

test('the command saves, tells about and refuses snapshots', async (t) => {
  const file = scratch(t)('prompt.snap');
  const made = await trapeze(['snapshot', 'save', file, '--memory', MEMORY, '--at', PROMPT]);
  assert.equal(made.code, 0);
  assert.match(made.stderr, /saved .*prompt\.snap; go on with: trapeze run --snapshot/);
  const { stdout } = await trapeze(['snapshot', 'info', file]);
  assert.match(stdout, /whole, \d+\.\d MiB\n.*\n.*\nmemory {4}64M\nclock {5}real\n/);
  assert.equal(JSON.parse((await trapeze(['snapshot', 'info', '--json', file])).stdout).memory, 64 * 2 ** 20);

  const bytes = readFileSync(file);
  // A pipe is read once, from start to end.
  const piped = 'cat "$0" | "$1" "$2" run --snapshot /dev/stdin --timeout 1';
  assert.equal(spawnSync('sh', ['-c', piped, file, process.execPath, COMMAND]).status, 4);
  const damaged = `${file}.damaged`;
  const at = 20 + Math.floor(Math.random() * (bytes.length - 20));
  const cases = [bytes.subarray(0, at), Buffer.from(bytes)];
  cases[1]![at]! ^= 0x10;
  for (const content of cases) {
    writeFileSync(damaged, content);
    for (const words of [
      ['snapshot', 'info', damaged],
      ['run', '--snapshot', damaged],
    ]) {
      const refused = await trapeze(words);
      assert.deepEqual([refused.code, refused.stdout], [2, ''], `at ${at}`);
      assert.match(refused.stderr, /^trapeze: [^\n]*damaged: the snapshot cannot be opened: [^\n]+\n$/);
    }
  }
  const wrong = await trapeze(['run', '--snapshot', file, '--memory', '1G']);
  assert.equal(wrong.stderr, 'trapeze: --memory: a snapshot has its own; leave the option out\n');
  const late = await trapeze([
    'snapshot',
    'save',
    file,
    '--memory',
    MEMORY,
    '--append',
    'trapeze.poweroff',
    '--at',
    'nothing like it',
  ]);
  assert.equal(late.code, 3);
  assert.deepEqual(readFileSync(file), bytes, 'what had the name before is still there');
});

test('a guest goes on while its snapshot is written, and the snapshot is of the moment before', async () => {
  const { machine, run } = await atPrompt();
  machine.write('n=0; while :; do n=$((n+1)); echo n=$n; sleep 0.05; done\n');
  const counted = async (): Promise<number> => Number((await machine.waitForText(/n=(\d+)\r/)).groups[0]);
  const before = await counted();
  const parts: Uint8Array[] = [];
  let later = 0;
  const target = new WritableStream<Uint8Array>({
    async write(part) {
      // Behind the header nothing is written before the guest has gone on.
      if (parts.length > 0) while (later <= before + 20) later = await counted();
      parts.push(part);
    },
  });
  await machine.save(target);
  machine.stop();
  await run;
  const again = await restored(Buffer.concat(parts));
  const ended = again.run();
  const [first] = (await again.waitForText(/n=(\d+)\r/)).groups;
  again.stop();
  await ended;
  assert.ok(Number(first) < later, `${later}, then ${first}`);
});
