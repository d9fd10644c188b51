/** Machines out of snapshots that are profiled, and whose instructions are counted: from there on. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { restoreProfilingMachine } from '../../src/api/profile.ts';
import type { RestoreOptions } from '../../src/api/restore.ts';
import type { SnapshotSource } from '../../src/api/snapshot-sources.ts';
import { nodeHost } from '../../src/host/node/host.ts';
import { type NodeRestoreOptions, restoreFrom } from '../../src/host/node/restore.ts';
import { PROMPT } from '../support/boot.ts';
import { scratch, trapeze } from '../support/trapeze.ts';

const LOOP = 'i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; echo "d"one; poweroff\n';

test('a profile and counts of a machine out of a snapshot begin where it went on', async (t) => {
  const file = scratch(t);
  const [snapshot, out, stats] = [file('prompt.snap'), file('profile.json'), file('stats.json')];
  assert.equal((await trapeze(['snapshot', 'save', snapshot, '--memory', '64M', '--at', PROMPT])).code, 0);
  const before = JSON.parse((await trapeze(['snapshot', 'info', '--json', snapshot])).stdout).instructions;

  const words = ['profile', '--snapshot', snapshot, '--format', 'json', '--output', out, '--stats', stats];
  const profiled = await trapeze(words, LOOP);
  assert.deepEqual([profiled.code, profiled.stderr], [0, '']);
  assert.match(profiled.stdout, /done/);
  const profile = JSON.parse(readFileSync(out, 'utf8'));
  const { instructions, instructionsBefore, vcpus } = JSON.parse(readFileSync(stats, 'utf8'));
  assert.deepEqual([instructionsBefore, profile.instructions], [before, instructions - before]);
  const [hottest] = profile.hottest;
  assert.ok(hottest.share > 0 && hottest.listing[0].executions > 0);
  const shown = profile.hottest.reduce((sum: number, { share }: { share: number }) => sum + share, 0);
  assert.ok(shown <= profile.translated + 0.01, `${shown} of ${profile.translated}`);
  assert.equal(vcpus[0].code.tiers.translator, profile.translated);

  const command = ['--command', 'ls / > /dev/null', '--format', 'json'];
  const counted = JSON.parse((await trapeze(['count', '--snapshot', snapshot, ...command])).stdout);
  assert.ok(counted.instructions > 0 && counted.instructions < before, `${counted.instructions} of ${before}`);
  assert.ok(counted.kinds.length > 0);

  for (const [wrong, line] of [
    [['count', '--snapshot', snapshot, '--memory', '1G'], /--memory: a snapshot has its own/],
    [['count', '--base', snapshot], /--base: is for --snapshot: leave it out/],
    [['profile', '--snapshot', snapshot, '--tier', 'interpreter'], /--tier: the interpreter makes no regions/],
    [['profile', '--snapshot', file('gone.snap')], /gone\.snap: no such file/],
  ] as const) {
    const { code, stderr } = await trapeze(wrong);
    assert.deepEqual([code, line.test(stderr)], [2, true], stderr);
  }
});

test('a snapshot that is not restored in the end is closed', async (t) => {
  const file = scratch(t);
  const snapshot = file('prompt.snap');
  assert.equal((await trapeze(['snapshot', 'save', snapshot, '--memory', '64M', '--at', PROMPT])).code, 0);
  const isOpen = (): boolean =>
    readdirSync('/proc/self/fd').some((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === snapshot;
      } catch {
        return false;
      }
    });
  let wasOpen = false;
  const refuse = async (source: SnapshotSource, options: RestoreOptions): Promise<unknown> => {
    wasOpen ||= isOpen();
    return restoreProfilingMachine(nodeHost, source, options);
  };
  for (const options of [{ tier: 'interpreter' }, { base: snapshot }, { load: 'never' }]) {
    wasOpen = false;
    await assert.rejects(restoreFrom(snapshot, options as NodeRestoreOptions, refuse));
    assert.deepEqual([wasOpen, isOpen()], [true, false], JSON.stringify(options));
  }
});
