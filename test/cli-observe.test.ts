import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { type TestContext, test } from 'node:test';
import { debugExit, forever, print, reset, spin, tinyGuest } from './support/tiny-guest.ts';
import { scratch, shown, start, trapeze } from './support/trapeze.ts';

const noFullDevice = existsSync('/dev/full') ? false : 'SKIPPED: there is no /dev/full here';
const oneLine = (text: string): boolean => /^trapeze: [^\n]+\n$/.test(text);
const ROUNDS = 1_000_000;
/** `mov ecx, 1000000; dec ecx; jnz` to the `dec`, at 0x100025. */
const countDown = [0xb9, 0x40, 0x42, 0x0f, 0x00, 0x49, 0x75, 0xfd];
const LOOP = '0x100025';
const END = ['--debug-exit', '0xf4'];

test('--stats tells by virtual CPU what was translated and which tier executed', async (t) => {
  const file = scratch(t);
  const [kernel, stats] = [file('kernel', tinyGuest(countDown, print('x'), debugExit(0))), file('stats.json')];
  for (const [tier, least, most] of [
    ['both', 0.9, 1],
    ['translator', 0.9, 1],
    ['interpreter', 0, 0],
  ] as const) {
    const { code } = await trapeze(['run', '--kernel', kernel, ...END, '--tier', tier, '--stats', stats]);
    assert.equal(code, 1);
    const figures = JSON.parse(readFileSync(stats, 'utf8'));
    const [{ instructions, code: made }] = figures.vcpus;
    assert.equal(instructions, figures.instructions);
    assert(made.tiers.translator >= least && made.tiers.translator <= most, `${tier}: ${made.tiers.translator}`);
    assert.equal(made.tiers.interpreter, 1 - made.tiers.translator);
    assert.equal(made.regions.made > 0, tier !== 'interpreter');
    assert.equal(made.regions.live, made.regions.made - made.regions.dropped);
    assert(made.modules.live > 0 && made.wasmBytes > 1000 && made.compileMs > 0);
    assert.equal(made.translateMs > 0, tier !== 'interpreter');
    const exits = Object.values<number>(made.regionExits).reduce((a, b) => a + b);
    assert.equal(exits > 0, tier !== 'interpreter');
    assert(made.exits.budgetSpent > 0);
  }
  await trapeze(['run', '--kernel', kernel, ...END, '--engine', 'reference', '--timeout', '1', '--stats', stats]);
  assert.equal(JSON.parse(readFileSync(stats, 'utf8')).vcpus[0].code, null);
});

test('--stats counts each restart once', async (t) => {
  const file = scratch(t);
  const [kernel, stats] = [file('kernel', tinyGuest(countDown, reset())), file('stats.json')];
  await trapeze(['run', '--kernel', kernel, '--timeout', '3', '--stats', stats]);
  const { restarts, instructions } = JSON.parse(readFileSync(stats, 'utf8'));
  const round = 2 * ROUNDS + 4;
  assert(restarts > 0);
  assert(instructions >= restarts * round && instructions <= (restarts + 1) * round, `${instructions} in ${restarts}`);
});

interface TraceEvent {
  readonly ph: string;
  readonly tid: number;
  readonly name: string;
  readonly ts: number;
  readonly dur?: number;
  readonly args: Readonly<Record<string, unknown>>;
}
/** Nanoseconds: sums of microseconds are not exact. */
const ns = (us: number): number => Math.round(us * 1000);

/** The events of a timeline, whose times never go back and whose slices lie apart or inside each other. */
function checkedEvents(path: string): readonly TraceEvent[] {
  const { traceEvents } = JSON.parse(readFileSync(path, 'utf8')) as { traceEvents: readonly TraceEvent[] };
  const events = traceEvents.filter(({ ph }) => ph !== 'M');
  const open = new Map<number, number[]>();
  let last = 0;
  for (const { ts, dur, tid, name } of events) {
    assert(ns(ts) >= last, `${name} at ${ts} comes behind ${last} ns`);
    last = ns(ts);
    const ends = open.get(tid) ?? [];
    open.set(tid, ends);
    while (ends.length > 0 && ends.at(-1)! <= last) ends.pop();
    if (dur === undefined) continue;
    assert(ends.length === 0 || last + ns(dur) <= ends.at(-1)!, `${name} at ${ts} ends behind what contains it`);
    ends.push(last + ns(dur));
  }
  return events;
}

/** Where the commands of a test keep what they translate. */
function keepCodeIn(t: TestContext, place: string): void {
  process.env.TRAPEZE_CODE_CACHE = place;
  t.after(() => delete process.env.TRAPEZE_CODE_CACHE);
}

test('what one run translates is there for the next, unless nothing is to be kept', async (t) => {
  const file = scratch(t);
  const kernel = file('kernel', tinyGuest(countDown, debugExit(0)));
  const run = async (): Promise<readonly number[]> => {
    const stats = file('stats.json');
    assert.equal((await trapeze(['run', '--kernel', kernel, ...END, '--stats', stats])).code, 1);
    const { regions } = JSON.parse(readFileSync(stats, 'utf8')).vcpus[0].code;
    return [regions.made, regions.kept];
  };
  keepCodeIn(t, file('code'));
  const [made, kept] = await run();
  assert(made > 0);
  assert.equal(kept, 0);
  assert.deepEqual(await run(), [made, made]);
  keepCodeIn(t, 'off');
  assert.deepEqual(await run(), [made, 0]);
});

test('a folder for what is translated that cannot be used is told in one line, and the run goes on', async (t) => {
  const file = scratch(t);
  const kernel = file('kernel', tinyGuest(countDown, debugExit(0)));
  const plain = file('plain', 'no folder');
  for (const place of [plain, `${plain}/below`]) {
    keepCodeIn(t, place);
    const { code, stderr } = await trapeze(['run', '--kernel', kernel, ...END]);
    const line = `trapeze: TRAPEZE_CODE_CACHE: ${place} is no folder, so that nothing is kept there: name a folder of yours, or off\n`;
    assert.deepEqual([code, stderr], [1, line]);
  }
  keepCodeIn(t, '/proc/none/below');
  const { code, stderr } = await trapeze(['run', '--kernel', kernel, ...END]);
  assert.equal(code, 1);
  assert.match(stderr, /^trapeze: TRAPEZE_CODE_CACHE: \/proc\/none\/below cannot be written \(ENOENT\), [^\n]*\n$/);
});

test('--trace perfetto:FILE writes slices and instants, nested and in the order of time', async (t) => {
  const file = scratch(t);
  const [kernel, out] = [file('kernel', tinyGuest(countDown, print('hello'), debugExit(0))), file('t.json')];
  keepCodeIn(t, 'off');
  const { code, stdout, stderr } = await trapeze(['run', '--kernel', kernel, ...END, '--trace', `perfetto:${out}`]);
  assert.deepEqual([code, stdout, stderr], [1, 'hello', '']);
  const events = checkedEvents(out);
  const names = new Set(events.map(({ name }) => name));
  for (const name of ['run', 'translate a region', 'compile a module', 'port write']) assert(names.has(name), name);
  const runs = events.filter(({ name }) => name === 'run');
  const executed = runs.reduce((total, { args }) => total + Number(args.instructions), 0);
  assert(executed > 2 * ROUNDS && executed < 2 * ROUNDS + 100, `${executed}`);
});

test('the timeline of the embedded guest has interrupts, exceptions, idle time and queues; kinds can be mixed', async (t) => {
  const out = scratch(t)('t.json');
  const { child, outcome } = start(['run', '--trace', `interrupts,perfetto:${out}`]);
  await shown(child.stdout!, '# ');
  await new Promise((resolve) => setTimeout(resolve, 300));
  child.stdin!.end('poweroff\n');
  const { code, stderr } = await outcome;
  assert.equal(code, 0);
  assert.match(stderr, /^interrupt 0x/m);
  const names = checkedEvents(out).map(({ name }) => name);
  for (const name of [/^vector 0x/, /^#PF$/, /^idle$/, /^mmio write$/, /^virtqueue 1 notified$/])
    assert(
      names.some((n) => name.test(n)),
      `${name}`,
    );
});

test('what is frequent is told of 64 times in a slice, and counted', async (t) => {
  const file = scratch(t);
  const [kernel, out] = [file('kernel', tinyGuest(forever(print('z')))), file('t.json')];
  await trapeze(['run', '--kernel', kernel, '--serial', 'none', '--timeout', '1', '--trace', `perfetto:${out}`]);
  const events = checkedEvents(out);
  const runs = events.filter(({ name, args }) => name === 'run' && Number(args.uart16550) > 64);
  assert(runs.length > 0);
  for (const { ts, dur } of runs) {
    const inside = events.filter((e) => e.name === 'port write' && e.ts >= ts && e.ts <= ts + dur!);
    assert(inside.length <= 64, `${inside.length}`);
  }
});

test('a timeline is whole when a signal or the time ends the run', async (t) => {
  const file = scratch(t);
  const [kernel, out] = [file('kernel', tinyGuest(print('ready'), spin())), file('t.json')];
  const { child, outcome } = start(['run', '--kernel', kernel, '--trace', `perfetto:${out}`]);
  await shown(child.stdout!, 'ready');
  child.kill('SIGINT');
  assert.equal((await outcome).code, 130);
  assert(checkedEvents(out).some(({ name }) => name === 'run'));
  await trapeze(['run', '--kernel', kernel, '--timeout', '0.3', '--trace', `perfetto:${out}`]);
  assert(checkedEvents(out).some(({ name }) => name === 'run'));
});

test('a timeline on a full disk is one line, and the run goes on', { skip: noFullDevice }, async (t) => {
  const kernel = scratch(t)('kernel', tinyGuest(print('x'), debugExit(0)));
  const { code, stdout, stderr } = await trapeze(['run', '--kernel', kernel, ...END, '--trace', 'perfetto:/dev/full']);
  assert.deepEqual([code, stdout], [1, 'x']);
  assert(oneLine(stderr), stderr);
  assert.match(stderr, /\/dev\/full: the disk is full: make room; the timeline ends here/);
});

test('profile finds the loop, counts it and shows it as guest code, IR and WebAssembly', async (t) => {
  const file = scratch(t);
  const [kernel, out] = [file('kernel', tinyGuest(countDown, debugExit(0))), file('profile.json')];
  const words = ['profile', '--kernel', kernel, ...END, '--format', 'json', '--output', out];
  assert.deepEqual(await trapeze(words), { code: 1, stdout: '', stderr: '' });
  const profile = JSON.parse(readFileSync(out, 'utf8'));
  const [hottest] = profile.hottest;
  assert.deepEqual([hottest.linear, hottest.physical, hottest.codeSize], [LOOP, LOOP, 32]);
  assert(hottest.share > 0.9 && hottest.instructions <= 2 * ROUNDS && hottest.instructions > 1.9 * ROUNDS);
  assert(profile.translated >= hottest.share);
  const [dec, jump] = hottest.listing[0].instructions;
  assert.deepEqual([dec.guest, dec.bytes, dec.address], ['dec ecx', '49', LOOP]);
  assert.match(jump.guest, /^jne /);
  assert(dec.ir.some((line: string) => /GPR/.test(line)) && jump.ir.some((line: string) => /^ *jump/.test(line)));
  assert(dec.wasm.includes('local.set $RCX') && jump.wasm.some((line: string) => /^ *br/.test(line)));
});

test('profile prints text behind the guest, or a page; --region chooses, --symbols names', async (t) => {
  const file = scratch(t);
  const kernel = file('kernel', tinyGuest(print('guest\n'), countDown, debugExit(0)));
  const map = file('System.map', new TextEncoder().encode('0000000000100000 T startup_32\n'));
  const words = ['profile', '--kernel', kernel, ...END, '--symbols', map];
  const text = await trapeze([...words, '--region', '10004f', '--top', '1']);
  assert.equal(text.code, 1);
  assert.match(text.stdout, /^guest\n[\d,]+ instructions: 9\d\.\d % in \d+ translated regions, /);
  assert.match(text.stdout, / startup_32\+0x[0-9a-f]+\n/);
  assert.match(text.stdout, /\n {2}-- executed [\d,]+ times\n0x[0-9a-f]+ {2}dec ecx +v0: .* i\d+\.|local\.get/);
  const page = await trapeze([...words, '--format', 'html', '--serial', 'none']);
  assert.match(page.stdout, /^<!doctype html>/);
  assert.match(page.stdout, /dec ecx\n49<\/td><td>v0: /);
  assert.doesNotMatch(page.stdout, /<script|https?:/);
  const none = await trapeze([...words, '--region', '0x7c00', '--serial', 'none']);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /^trapeze: --region: no region was made of code at 0x7c00\n$/);
});

test('mistakes with profiles and timelines are one line and exit code 2', async (t) => {
  const file = scratch(t);
  const folder = file('folder');
  mkdirSync(folder);
  const empty = file('empty.map');
  writeFileSync(empty, 'nothing\n');
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['run', '--trace', 'perfetto:'], /--trace: a timeline needs a file: write perfetto:FILE/],
    [['run', '--trace', `perfetto:${folder}`], /is a directory: name a file/],
    [['run', '--trace', `perfetto:${file('no/such/place')}`], /place: there is no folder \S+such: make it \(mkdir -p/],
    [['profile', '--top', '0'], /--top: '0' is not a number of regions: choose 1 to 10000/],
    [['profile', '--listings', 'all'], /--listings: 'all' is not a number of regions/],
    [['profile', '--region', 'main'], /--region: 'main' is not an address: .* such as 0xffffffff81000040/],
    [['profile', '--symbols', file('gone')], /gone: no such file: check its name/],
    [['profile', '--symbols', empty], /empty.map has no symbols: give a System.map/],
    [['profile', '--output', folder], /is a directory: name a file/],
    [['profile', '--format', 'pdf'], /choices are text, json, html/],
    [['profile', '--engine', 'reference'], /--engine: only the wasm engine can be profiled/],
    [['profile', '--tier', 'interpreter'], /--tier: the interpreter makes no regions: choose both or translator/],
    [['profile', '--memory', '1'], /--memory: '1' is not a size/],
  ];
  for (const [words, line] of cases) {
    const { code, stdout, stderr } = await trapeze(words);
    assert.match(stderr, line);
    assert(oneLine(stderr), `one line: ${stderr}`);
    assert.deepEqual([code, stdout], [2, ''], words.join(' '));
  }
  const help = await trapeze(['profile', '--help']);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /Examples:\n {2}trapeze profile\n/);
});
