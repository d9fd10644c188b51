/** Snapshots of machines whose disks' changes are in overlays that last. */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { type DiskFile, Machine, saveToFile, UserError } from '../../src/host/node/index.ts';
import { PROMPT } from '../support/boot.ts';
import { transcript } from '../support/snapshots.ts';
import { scratch, shown, start, trapeze } from '../support/trapeze.ts';

const MIB = 2 ** 20;
const MOUNT = 'mkdir -p /mnt; mount -t ext4 /dev/vda /mnt';

/** Types lines one after the other, saves the machine behind the last, and pulls the plug. */
async function saveAfter(lines: readonly string[], file: string, disks: readonly DiskFile[]): Promise<void> {
  const machine = await Machine.create({ memory: '64M', disks });
  const run = machine.run();
  for (const line of lines) {
    await machine.waitForText(PROMPT);
    machine.write(`${line}\n`);
  }
  await machine.waitForText(PROMPT);
  // What it wrote behind that would be missing.
  await machine.pause();
  await saveToFile(machine, file);
  machine.stop();
  await run;
}

/** Goes on from a snapshot with a line of shell and powers off; what it printed. */
async function goOn(file: string, line: string, disks: readonly DiskFile[]): Promise<string> {
  const machine = await Machine.restore(file, { disks });
  const text = transcript(machine);
  const run = machine.run();
  machine.write(`echo "<$((1))<"; ${line}; echo ">$((2))>"; poweroff\n`);
  assert.deepEqual(await run, { kind: 'poweredOff' });
  return /<1<\n(.*)>2>/s.exec(text().replaceAll('\r', ''))![1]!.trim();
}

const refused = (restoring: Promise<unknown>, line: RegExp): Promise<void> =>
  assert.rejects(restoring, (error) => error instanceof UserError && line.test(error.message));

test('a machine goes on with its overlay: what was flushed and what was not; not once that was written again', async (t) => {
  const file = scratch(t);
  const [path, overlay, snapshot] = [
    file('disk.img', new Uint8Array(16 * MIB)),
    file('changes.trz'),
    file('saved.snap'),
  ];
  const disks = [{ path, overlay }];
  // The numbers are still in the guest's memory alone.
  await saveAfter([`mke2fs /dev/vda > /dev/null; ${MOUNT}; sync; seq 20000 > /mnt/numbers`], snapshot, disks);
  const copy = file('copy.trz');
  copyFileSync(overlay, copy);
  const work = 'date >> /mnt/log; umount /mnt; mount -t ext4 /dev/vda /mnt; md5sum < /mnt/numbers; umount /mnt';
  const sum = await goOn(snapshot, work, disks);
  assert.equal(sum, await goOn(snapshot, 'umount /mnt; seq 20000 | md5sum', [{ path, overlay: copy }]));
  await refused(
    Machine.restore(snapshot, { disks }),
    /the overlay of disk 1 \(\S+disk\.img,overlay=\S+changes\.trz\) is another one, or was written after the snapshot/,
  );
  const { code, stderr } = await trapeze(['run', '--snapshot', snapshot, '--disk', `${path},overlay=${overlay}`]);
  assert.equal(code, 2);
  assert.match(
    stderr,
    /^trapeze: [^\n]+saved\.snap: [^\n]+: give a copy of it from before that, or start without the snapshot\n$/,
  );
  assert.match((await trapeze(['snapshot', 'info', snapshot])).stdout, /bytes, its changes are in the overlay\n/);
});

test('what only reads its overlay goes on from its snapshot as often as one likes; with the overlay alone', async (t) => {
  const file = scratch(t);
  const [path, overlay, snapshot] = [file('disk.img', new Uint8Array(MIB)), file('changes.trz'), file('saved.snap')];
  await saveAfter(['echo kept | dd of=/dev/vda conv=fsync,notrunc 2>/dev/null'], snapshot, [{ path, overlay }]);
  const wrong: readonly (readonly DiskFile[])[] = [
    [{ path }],
    [{ path, mode: 'cow' }],
    [{ path, overlay: file('empty.trz') }],
    [],
  ];
  for (const disks of wrong)
    await refused(
      Machine.restore(snapshot, { disks }),
      /was under an overlay \(overlay=FILE\): give it so|is another one, or was|give, in this order: \S+,overlay=/,
    );
  for (let i = 0; i < 2; i++) assert.equal(await goOn(snapshot, 'head -n1 /dev/vda', [{ path, overlay }]), 'kept');
});

test('the changes of a snapshot go on in a new overlay, once', async (t) => {
  const file = scratch(t);
  const [path, snapshot, overlay] = [file('disk.img', new Uint8Array(16 * MIB)), file('saved.snap'), file('new.trz')];
  await saveAfter([`mke2fs /dev/vda > /dev/null; ${MOUNT}; seq 20000 > /mnt/numbers; sync`], snapshot, [
    { path, mode: 'cow' },
  ]);
  const disks = [{ path, overlay }];
  const sum = await goOn(snapshot, 'echo more > /mnt/more; umount /mnt; seq 20000 | md5sum', disks);
  await refused(
    Machine.restore(snapshot, { disks }),
    /the overlay of disk 1 \(\S+disk\.img\) has changes of its own: name a new file for those of the snapshot$/,
  );
  // Without the snapshot it is the disk that the guest left.
  const later = file('later.snap');
  await saveAfter([MOUNT], later, disks);
  assert.equal(await goOn(later, 'cat /mnt/more; md5sum < /mnt/numbers', disks), `more\n${sum}`);
  const other = file('other.img', new Uint8Array(16 * MIB).fill(1));
  await refused(Machine.restore(snapshot, { disks: [{ path: other, overlay: file('other.trz') }] }), /is another disk/);
});

test('a snapshot that turns out to be damaged leaves an overlay that says so', async (t) => {
  const file = scratch(t);
  const [path, snapshot, overlay] = [file('disk.img', new Uint8Array(MIB)), file('saved.snap'), file('new.trz')];
  await saveAfter(['echo kept | dd of=/dev/vda conv=fsync,notrunc 2>/dev/null'], snapshot, [{ path, mode: 'cow' }]);
  const damaged = file('damaged.snap', readFileSync(snapshot).subarray(0, -1));
  const run = (from: string) => trapeze(['run', '--snapshot', from, '--disk', `${path},overlay=${overlay}`], '\x01x');
  assert.equal((await run(damaged)).code, 2);
  const { code, stderr } = await run(snapshot);
  assert.deepEqual(
    [code, stderr],
    [
      2,
      `trapeze: ${snapshot}: ${overlay}: putting a snapshot's changes into it did not end, and some may be missing: remove it, or name another one, and restore again\n`,
    ],
  );
  rmSync(overlay);
  assert.equal(await goOn(snapshot, 'head -n1 /dev/vda', [{ path, overlay }]), 'kept');
});

test('the command saves as it leaves, and says how to go on', async (t) => {
  const file = scratch(t);
  const [path, overlay, snapshot] = [file('disk.img', new Uint8Array(MIB)), file('changes.trz'), file('saved.snap')];
  const disk = `${path},overlay=${overlay}`;
  const { child, outcome } = start(['run', '--memory', '64M', '--disk', disk, '--save', snapshot, '--save-on-exit']);
  // It writes without end, so that it would not go on from a snapshot behind which it ran.
  child.stdin!.write('while :; do echo "on and "on; date > /dev/vda; sync; done\n');
  await shown(child.stdout!, '\non and on');
  child.kill('SIGTERM');
  const { code, stderr } = await outcome;
  assert.equal(code, 143);
  assert.equal(stderr, `trapeze: saved ${snapshot}; go on with: trapeze run --snapshot ${snapshot} --disk ${disk}\n`);
  const again = await trapeze(['run', '--snapshot', snapshot, '--disk', disk], '\x03echo "st"ill; poweroff\n');
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stdout, /still/);
});
