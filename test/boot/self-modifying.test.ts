/** Guests that write the code that they execute. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TIERS } from '../../src/api/choices.ts';
import { boot } from '../support/boot.ts';
import { jobOutput, runOnHost } from '../support/debian-root.ts';
import { debianGuest, skipWithout, there } from '../support/guests.ts';
import { jitInitramfs, jitResults } from '../support/jit-guest.ts';
import { LUAJIT, programsJob, resultsIn, rootOf } from '../support/programs.ts';

/** Where every block is translated at once, a rewrite costs a compilation. */
const REWRITES = { both: 10_000, interpreter: 10_000, translator: 30 } as const;
const WAYS = 25;

const jit = await jitInitramfs();

for (const tier of TIERS) {
  test(`code that is rewritten does what it says now (${tier})`, { skip: skipWithout(jit) }, async (t) => {
    const { text, result } = await boot({
      initrd: there(jit),
      tier,
      memory: '64M',
      timeout: 400,
      append: `quiet -- ${REWRITES[tier]}`,
    });
    const results = jitResults(text);
    assert.equal(results.length, WAYS, text);
    assert.match(text, /^JIT-OK/m);
    assert.deepEqual(result, { kind: 'poweredOff' });
    for (const { name, rewrites, nanoseconds } of results)
      t.diagnostic(`${name}: ${Math.round((rewrites / nanoseconds) * 1e9)} rewrites a second`);
  });
}

const cloud = await debianGuest('cloud-amd64');
const luajit = await rootOf(LUAJIT);
const skipLuaJit = skipWithout(cloud) || skipWithout(luajit);

test("Debian's LuaJIT computes what it computes on the host", { skip: skipLuaJit }, async () => {
  const { kernel } = there(cloud);
  const initrd = [there(luajit).initrd, programsJob(LUAJIT)];
  const { text } = await boot({ kernel, initrd, append: 'console=ttyS0 quiet' });
  const output = jobOutput(text);
  assert(output !== undefined && output.status === 0, text);
  assert.equal(resultsIn(output.printed), await runOnHost(there(luajit), LUAJIT.command, LUAJIT.programs));
});
