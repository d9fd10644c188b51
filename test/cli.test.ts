import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { completionScript } from '../src/cli/completion.ts';
import { createProgram } from '../src/cli/program.ts';
import {
  debugExit,
  echoUntil,
  forever,
  powerOff,
  print,
  reset,
  spin,
  tinyGuest,
  tripleFault,
} from './support/tiny-guest.ts';
import { scratch, shown, start, trapeze } from './support/trapeze.ts';

const noFullDevice = existsSync('/dev/full') ? false : 'SKIPPED: there is no /dev/full here';
const oneLine = (text: string): boolean => /^trapeze: [^\n]+\n$/.test(text);

test('--version and --help succeed on stdout', async () => {
  const [version, help] = await Promise.all([trapeze(['--version']), trapeze(['run', '--help'])]);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
  assert.match(help.stdout, /Examples:/);
  assert.deepEqual([version.code, help.code, version.stderr, help.stderr], [0, 0, '', '']);
});

test('without a command the help is shown and the exit code is 2', async () => {
  const { code, stderr } = await trapeze([]);
  assert.equal(code, 2);
  assert.match(stderr, /Commands:/);
});

test('a user mistake is one line that names the fix, and exit code 2', async (t) => {
  const file = scratch(t);
  const noise = file(
    'noise.bin',
    new Uint8Array(100_000).map((_, i) => (i * 7919) >> 3),
  );
  const folder = file('folder');
  mkdirSync(folder);
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['fly'], /unknown command 'fly'; see `trapeze --help`/],
    [['run', '--memmory', '1G'], /unknown option '--memmory' \(did you mean --memory\?\); see `trapeze run --help`/],
    [['run', '--memory', '1'], /--memory: '1' is not a size: .* such as 512M/],
    [['run', '--memory', '64G'], /--memory: 64G is out of range: choose 4M to 3G/],
    [['run', '--engine', 'warp'], /choices are auto, wasm, reference/],
    [['run', '--debug-exit', 'f4'], /--debug-exit: give an I\/O port/],
    [['run', '--debug-exit', '0x3f8', '--kernel', noise], /--debug-exit: the port is taken .* such as 0xf4/],
    [['run', '--timeout', ''], /--timeout: give seconds/],
    [['run', '--timeout', '-1'], /--timeout: give seconds above 0/],
    [['run', '--serial', 'tcp:1'], /--serial: .* choose stdio, none or file:NAME/],
    [['run', '--trace', 'io,magic'], /--trace: choose among exceptions/],
    [['run', '--kernel', file('missing')], /missing: no such file: check its name/],
    [['run', '--kernel', folder], /is a directory: name a file/],
    [['run', '--kernel', noise], /noise.bin is not a kernel/],
    [['run', '--kernel', noise, '--disk', folder], /folder/],
    [['run', '--kernel', noise, '--disk', `${file('gone')},cow`], /gone/],
    [
      ['run', '--stats', file('no/place')],
      /place: there is no folder \S+no: make it \(mkdir -p \S+no\), or name another/,
    ],
    [['run', '--save', file('no/place')], /there is no folder/],
    [['snapshot', 'save', file('no/place'), '--at', 'x'], /there is no folder/],
    [['run', '--base', file('gone')], /gone: no such file: check its name/],
    [['run', '--serial', `file:${folder}`], /is a directory: name a file/],
    [['disasm', 'nothex'], /neither a file nor whole bytes in hexadecimal/],
    [['disasm', '9'], /neither a file nor whole bytes/],
    [['disasm', folder], /is a directory: name a file/],
    [['disasm', '--address', 'here', '90'], /--address: 'here' is not an address/],
    [['run', '--disk', 'x.img,format=vmdk'], /--disk: the format 'vmdk' is not supported: choose raw or qcow2/],
    [['completion', 'tcsh'], /choices are bash, zsh, fish/],
  ];
  for (const [words, line] of cases) {
    const { code, stdout, stderr } = await trapeze(words);
    assert.match(stderr, line);
    assert(oneLine(stderr), `one line: ${stderr}`);
    assert.deepEqual([code, stdout], [2, ''], words.join(' '));
  }
});

test('the guest prints on stdout; the debug-exit port makes the exit code', async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('hello\r\n'), debugExit(21)));
  const { code, stdout, stderr } = await trapeze(['run', '--kernel', kernel, '--debug-exit', '0xf4']);
  assert.deepEqual([code, stdout, stderr], [43, 'hello\r\n', '']);
});

test('a guest that powers off ends with 0', async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('bye'), powerOff(), spin()));
  const { code, stdout } = await trapeze(['run', '--kernel', kernel]);
  assert.deepEqual([code, stdout], [0, 'bye']);
});

test('what comes through a pipe is typed as it is, Ctrl-A too; its end is no end of the run', async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(echoUntil('q'), debugExit(0)));
  const { code, stdout } = await trapeze(['run', '--kernel', kernel, '--debug-exit', '244'], 'one\x01xq');
  assert.deepEqual([code, stdout], [1, 'one\x01xq']);
});

test('endless input does not pile up', async (t) => {
  const file = scratch(t);
  const [kernel, stats] = [file('kernel', tinyGuest(print('x'), spin())), file('stats.json')];
  const words = ['run', '--kernel', kernel, '--timeout', '2', '--stats', stats];
  const { outcome } = start(words, [openSync('/dev/zero', 'r'), 'pipe', 'pipe']);
  assert.equal((await outcome).code, 4);
  const { process: memory } = JSON.parse(readFileSync(stats, 'utf8'));
  assert(memory.peakResidentBytes < 400e6, `${memory.peakResidentBytes} bytes`);
});

test('stdin may be closed', async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('x'), debugExit(1)));
  const { outcome } = start(['run', '--kernel', kernel, '--debug-exit', '0xf4'], ['ignore', 'pipe', 'pipe']);
  const { code, stdout } = await outcome;
  assert.deepEqual([code, stdout], [3, 'x']);
});

test('a triple fault ends with 3, the registers and the code', async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('x'), tripleFault()));
  const { code, stdout, stderr } = await trapeze(['run', '--kernel', kernel]);
  assert.deepEqual([code, stdout], [3, 'x']);
  assert.match(stderr, /^trapeze: triple fault\n/);
  assert.match(stderr, /RSP=000000000008fff8/);
  assert.match(stderr, /\n=> [0-9a-f]{8} {2}cc /);
});

test('--timeout ends with 4, --serial file: takes the output, --stats the figures', async (t) => {
  const file = scratch(t);
  const [kernel, serial, stats] = [file('kernel', tinyGuest(print('log'), spin())), file('log'), file('stats.json')];
  const options = ['--timeout', '0.5', '--serial', `file:${serial}`, '--stats', stats];
  const { code, stdout, stderr } = await trapeze(['run', '--kernel', kernel, ...options]);
  assert.deepEqual([code, stdout, stderr], [4, '', 'trapeze: timed out: the guest still ran after 0.5 s\n']);
  assert.equal(readFileSync(serial, 'utf8'), 'log');
  const figures = JSON.parse(readFileSync(stats, 'utf8'));
  assert.equal(figures.engine, 'wasm');
  assert.equal(figures.devices.uart16550.writes, 3);
  assert(figures.instructions > 10 && figures.wallSeconds >= 0.5 && figures.firstOutputSeconds < 0.5);
  assert(figures.process.residentBytes > 0);
});

test('a reset restarts the guest, unless --no-reboot', async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('boot '), reset()));
  const once = await trapeze(['run', '--kernel', kernel, '--no-reboot']);
  assert.deepEqual([once.code, once.stdout], [0, 'boot ']);
  const again = await trapeze(['run', '--kernel', kernel, '--timeout', '1']);
  assert.equal(again.code, 4);
  assert.match(again.stdout, /^boot boot boot /);
});

test('--trace shows device accesses and instructions on stderr', async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('A'), debugExit(0)));
  const { stderr } = await trapeze(['run', '--kernel', kernel, '--debug-exit', '0xf4', '--trace', 'io,instructions']);
  assert.match(stderr, /^instruction 00100020 {2}66 ba f8 03 .*\n/);
  assert.match(stderr, /io write 0x3f8 width 1 = 0x41\n/);
});

test('when nobody reads the output any more the run ends quietly', async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(forever(print('flood\r\n'))));
  const { child, outcome } = start(['run', '--kernel', kernel]);
  await shown(child.stdout!, 'flood');
  child.stdout!.destroy();
  const { code, stderr } = await outcome;
  assert.deepEqual([code, stderr], [141, '']);
});

test('a full disk under the output, the serial file or the statistics is one line', {
  skip: noFullDevice,
}, async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('x'), debugExit(2)));
  const words = ['run', '--kernel', kernel, '--debug-exit', '0xf4'];
  const stdout = start(words, ['ignore', openSync('/dev/full', 'w'), 'pipe']);
  const ended = await Promise.all([
    stdout.outcome,
    trapeze([...words, '--serial', 'file:/dev/full']),
    trapeze([...words, '--stats', '/dev/full']),
  ]);
  assert.deepEqual(
    ended.map(({ code }) => code),
    [1, 5, 2],
  );
  for (const { stderr } of ended) assert(oneLine(stderr), stderr);
});

test('signals end the run with 128 and their number', async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('ready'), spin()));
  for (const [signal, number] of [
    ['SIGTERM', 15],
    ['SIGINT', 2],
    ['SIGHUP', 1],
  ] as const) {
    const { child, outcome } = start(['run', '--kernel', kernel]);
    await shown(child.stdout!, 'ready');
    child.kill(signal);
    assert.equal((await outcome).code, 128 + number);
  }
});

test('disasm reads files, standard input and hexadecimal in many dresses', async (t) => {
  const file = scratch(t)('code.bin', Uint8Array.of(0x90, 0xc3));
  const outcomes = await Promise.all([
    trapeze(['disasm', file]),
    trapeze(['disasm', '-'], Uint8Array.of(0x90, 0xc3)),
    trapeze(['disasm', '90', 'c3']),
    trapeze(['disasm', '\\x90\\xC3']),
    trapeze(['disasm', '0x90, 0xc3']),
  ]);
  for (const { code, stdout, stderr } of outcomes) {
    assert.match(stdout, /^00000000 {2}90 +nop\n00000001 {2}c3 +ret\n$/);
    assert.deepEqual([code, stderr], [0, '']);
  }
});

test('disasm --mode and --address', async () => {
  const { stdout } = await trapeze(['disasm', '--mode', '16', '--address', '0x7c00', 'eb fe']);
  assert.match(stdout, /^00007c00 {2}eb fe +jmp .*7C00/i);
});

test('completion scripts name every command and option, and shells take them', (t) => {
  const program = createProgram(() => {});
  const run = program.commands.find((command) => command.name() === 'run')!;
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    const script = completionScript(program, shell);
    for (const option of run.options) assert(script.includes(option.long!.slice(2)), `${shell}: ${option.long}`);
    for (const command of program.commands) assert(script.includes(command.name()));
    const check = spawnSync(shell, ['-n'], { input: script, encoding: 'utf8' });
    if (check.error === undefined) assert.deepEqual([check.status, check.stderr], [0, '']);
    else t.diagnostic(`SKIPPED: ${shell} is not installed, so its syntax check of the script did not run`);
  }
});

test('bash completes options and their values', () => {
  const script = completionScript(
    createProgram(() => {}),
    'bash',
  );
  const complete = (...words: string[]): string => {
    const ask = `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _trapeze; echo "\${COMPREPLY[*]}"`;
    return spawnSync('bash', ['-c', `${script}\n${ask}`], { encoding: 'utf8' }).stdout.trim();
  };
  assert.equal(complete('trapeze', 'r'), 'run');
  assert.equal(complete('trapeze', 'run', '--en'), '--engine');
  assert.equal(complete('trapeze', 'run', '--engine', ''), 'auto wasm reference');
  assert.equal(complete('trapeze', 'disk', 'conv'), 'convert');
  assert.equal(complete('trapeze', 'disk', 'resize', '--shr'), '--shrink');
  assert.equal(complete('trapeze', 'disk', 'convert', '--compr'), '--compression-type --compress');
  assert.equal(complete('trapeze', 'disk', 'convert', '--compression-type', ''), 'zlib zstd');
  assert.equal(complete('trapeze', 'disk', 'convert', '--format', ''), 'raw qcow2');
  assert.equal(complete('trapeze', 'isa', 'x86-64', '--format', ''), 'text json html');
  assert.equal(complete('trapeze', 'disk', 'check', '--repair', ''), 'leaks all');
});

test('docs/cli.md tells of every option, and its example prints what it says', async () => {
  const docs = readFileSync(new URL('../docs/cli.md', import.meta.url), 'utf8');
  const { commands } = createProgram(() => {});
  const snapshot = commands.find((command) => command.name() === 'snapshot')!;
  for (const command of [...commands, ...snapshot.commands])
    for (const option of command.options) assert(docs.includes(`\`${option.long}`), `${command.name()} ${option.long}`);
  const [, words, output] = /\$ trapeze (disasm .*)\n((?:.+\n)+?)```/.exec(docs)!;
  const { stdout } = await trapeze(words!.replaceAll("'", '').split(' '));
  assert.equal(stdout, output);
});
