/** The npm package: packed, installed into an empty folder, used there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { debugExit, print, tinyGuest } from './support/tiny-guest.ts';
import { COMMAND, scratch } from './support/trapeze.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Where it is installed, what is kept for the user is kept there too. */
function run(cwd: string, command: string, ...words: readonly string[]): string {
  const env = cwd === ROOT ? process.env : { ...process.env, XDG_CACHE_HOME: path.join(cwd, 'cache') };
  const { status, stdout, stderr, error } = spawnSync(command, words, { cwd, encoding: 'utf8', env });
  assert.equal(error, undefined);
  assert.equal(status, 0, `${command} ${words.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

test('the packed package installs in an empty folder and works there', (t) => {
  const file = scratch(t);
  const folder = path.dirname(file('x'));
  const packed = JSON.parse(run(ROOT, 'npm', 'pack', '--json', '--silent', '--pack-destination', folder));
  const [{ files }] = packed as [{ files: { path: string }[] }];
  const names = files.map((entry) => entry.path);
  assert.deepEqual(
    names.filter((name) => /\.test\.|(?<!\.d)\.ts$|^(src|test|scripts)\//.test(name)),
    [],
    'only what users need is in the package',
  );
  file('package.json', '{ "private": true }');
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))!;
  run(folder, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error', `./${tarball}`);
  assert(!existsSync(path.join(folder, 'node_modules', 'node')), 'no Node of our own is installed for users');

  const trapeze = (...words: string[]): string => run(folder, 'npx', '--no-install', 'trapeze', ...words);
  assert.match(trapeze('--version'), /^\d+\.\d+\.\d+\n$/);
  assert.match(trapeze('disasm', '01 d8'), /add +eax, ?ebx/);

  const kernel = file('kernel', tinyGuest(print('hello'), debugExit(0)));
  const program = `
    import { Machine, UserError } from 'trapeze';
    const machine = await Machine.create({ kernel: ${JSON.stringify(kernel)}, debugExit: 0xf4 });
    const [{ text }, result] = await Promise.all([machine.waitForText('hello'), machine.run()]);
    console.log(text, result.kind, result.code, UserError.name);`;
  assert.equal(run(folder, process.execPath, '--input-type=module', '-e', program), 'hello debugExit 1 UserError\n');

  // mov ecx, 1000000; dec ecx; jnz to the dec
  const loop = file('loop', tinyGuest([0xb9, 0x40, 0x42, 0x0f, 0x00, 0x49, 0x75, 0xfd], debugExit(0)));
  const keeping = `
    import { Machine } from 'trapeze';
    const machine = await Machine.create({ kernel: ${JSON.stringify(loop)}, debugExit: 0xf4 });
    await machine.run();
    const { made, kept } = machine.statistics().vcpus[0].code.regions;
    console.log(made > 0, kept > 0);`;
  for (const known of [false, true])
    assert.equal(run(folder, process.execPath, '--input-type=module', '-e', keeping), `true ${known}\n`);

  file(
    'typed.mts',
    `import { Machine, type Result } from 'trapeze';
    const result: Result = await (await Machine.create({ disks: [{ path: 'x', mode: 'cow' }] })).run();
    // @ts-expect-error A disk has no such mode.
    await Machine.create({ disks: [{ path: 'x', mode: 'wo' }] });
    export default result;`,
  );
  run(folder, 'tsc', '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', 'typed.mts');
  file(
    'page.mts',
    `import type { TrapezeVm, Result } from 'trapeze/web';
    export const start = (vm: TrapezeVm): Promise<void> => vm.start({ memory: '64M' });
    document.querySelector('trapeze-vm')!.addEventListener('statechange', ({ detail }) => {
      const result: Result | undefined = detail.result;
      // @ts-expect-error A machine has no such state.
      if (detail.state === 'asleep') console.log(result);
    });`,
  );
  run(
    folder,
    'tsc',
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2024',
    '--lib',
    'es2024,dom',
    'page.mts',
  );
  assert.equal(trapeze('web', '--output', 'public'), 'trapeze: the page is in public\n');
  for (const part of ['index.html', 'trapeze-vm.js', 'worker.js', 'guest'])
    assert(existsSync(path.join(folder, 'public', part)), part);
});

test('an old Node gets one line that says what to install', (t) => {
  const old = ['/usr/bin/node', '/usr/local/bin/node'].find((node) => {
    const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
    return stdout !== null && Number.parseInt(stdout.slice(1), 10) < 24;
  });
  if (old === undefined) {
    t.skip('SKIPPED: this machine has no Node older than 24 to try');
    return;
  }
  const file = scratch(t);
  const installed = file('trapeze.js');
  run(ROOT, 'cp', COMMAND, installed);
  file('package.json', '{ "type": "module" }');
  const { status, stdout, stderr } = spawnSync(old, [installed, '--version'], { encoding: 'utf8' });
  assert.deepEqual([status, stdout], [2, '']);
  assert.match(stderr, /^trapeze: needs Node 24 or later and this is [\d.]+: install Node 24 or later\n$/);
  assert.match(run(ROOT, old, COMMAND, '--version'), /^\d/, 'in a checkout its own Node takes over');
});
