/** The embedded guest's ways through the machine: its consoles, its ends, its devices. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boot, PROMPT, shell } from '../support/boot.ts';
import { trapeze } from '../support/trapeze.ts';

const EMBEDDED = { memory: '64M' } as const;

for (const console of ['serial', 'virtio'] as const) {
  test(`a typed program runs on the ${console} console, and poweroff powers off`, async () => {
    const name = { serial: '/dev/ttyS0', virtio: '/dev/hvc0' }[console];
    const { result, text, statistics } = await boot({ ...EMBEDDED, console }, [
      [PROMPT, 'tty; seq 1 4 | awk "{ s += \\$1 * \\$1 } END { print \\"sum\\", s }"\n'],
      ['sum 30', 'poweroff\n'],
    ]);
    assert.deepEqual(result, { kind: 'poweredOff' });
    assert.match(text, new RegExp(`\\n${name}\r`));
    assert.equal(statistics.restarts, 0);
  });
}

for (const [how, word] of [
  ['ACPI', 'reboot=acpi'],
  ['the keyboard controller', 'reboot=kbd'],
  ['the chipset', 'reboot=pci'],
] as const) {
  test(`reboot by ${how} restarts the guest`, async () => {
    const { result, text, statistics } = await boot({ ...EMBEDDED, append: word }, [
      [PROMPT, 'touch /root/mark; reboot\n'],
      [PROMPT, 'ls /root | wc -l; poweroff\n'],
    ]);
    assert.deepEqual(result, { kind: 'poweredOff' });
    assert.equal(statistics.restarts, 1);
    assert.match(text, /\n0\r/, 'the initramfs is new');
  });
}

test('without reboots a reset ends the run, with exit code 0', async () => {
  const { result } = await boot({ ...EMBEDDED, noReboot: true }, [[PROMPT, 'reboot\n']]);
  assert.deepEqual(result, { kind: 'reset' });
  const { code, stderr } = await trapeze(['run', '--memory', '64M', '--no-reboot'], 'reboot\n');
  assert.deepEqual([code, stderr], [0, '']);
});

test('a program in the guest ends the run through the debug-exit port', async () => {
  const line = 'printf "\\025" | dd of=/dev/port bs=1 seek=244 2>/dev/null\n';
  const { result } = await boot({ ...EMBEDDED, debugExit: 0xf4 }, [[PROMPT, line]]);
  assert.deepEqual(result, { kind: 'debugExit', code: 43 });
  const { code, stderr } = await trapeze(['run', '--memory', '64M', '--debug-exit', '0xf4'], line);
  assert.deepEqual([code, stderr], [43, '']);
});

test("Linux's reset by triple fault is a crash with registers and code, exit code 3", async () => {
  const words = ['run', '--memory', '64M', '--append', 'reboot=triple'];
  const { code, stderr } = await trapeze(words, 'reboot\n');
  assert.equal(code, 3);
  assert.match(stderr, /^trapeze: triple fault\n/);
  assert.match(stderr, /CR0=[0-9a-f]+ .*CR3=[0-9a-f]+ .*IA32_EFER=00000d01/);
  assert.match(stderr, /\n=> ffffffff8[0-9a-f]{7} {2}cc +int3/);
});

test('a guest that sits at its prompt is ended by the time limit, exit code 4', async () => {
  const { code, stdout, stderr } = await trapeze(['run', '--memory', '64M', '--timeout', '12']);
  assert.deepEqual([code, stderr], [4, 'trapeze: timed out: the guest still ran after 12 s\n']);
  assert.match(stdout, /trapeze:~# $/);
});

test('random numbers come through virtio', async () => {
  const printed = await shell(
    'cat /sys/class/misc/hw_random/rng_current; for i in 1 2; do dd if=/dev/hwrng bs=512 count=4 2>/dev/null | md5sum; done',
  );
  const [name, first, second] = printed.split('\n');
  assert.equal(name, 'virtio_rng.0');
  assert.match(first!, /^[0-9a-f]{32} /);
  assert.notEqual(first, second);
});

test('memory is what was asked for', async () => {
  for (const [memory, least, most] of [
    ['32M', 20, 32],
    ['1G', 980, 1024],
    ['3G', 2980, 3072],
  ] as const) {
    const kilobytes = Number(await shell("awk '/MemTotal/ { print $2 }' /proc/meminfo", { memory }));
    assert(kilobytes / 1024 > least && kilobytes / 1024 < most, `${memory}: ${kilobytes} kB`);
  }
});
