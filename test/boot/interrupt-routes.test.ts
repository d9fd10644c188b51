/** A disk, a console and the time by each way in which a PC's interrupts can go. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { shell } from '../support/boot.ts';
import { scratch } from '../support/trapeze.ts';

const MIB = 2 ** 20;
const content = randomBytes(MIB);
const sum = createHash('md5').update(content).digest('hex');

/** The kernel's words for interrupt controllers, and the names under which it then lists the disk and the timer. */
const ROUTES: readonly (readonly [append: string, disk: RegExp, timer: RegExp])[] = [
  ['', /PCI-MSI \d+-edge +virtio2-req/, /LOC:/],
  ['pci=nomsi', /IO-APIC +\d+-fasteoi +virtio2/, /LOC:/],
  ['pci=nomsi noapic', /XT-PIC +virtio2/, /LOC:/],
  ['nolapic', /XT-PIC +virtio2/, /XT-PIC +timer/],
  ['lapic=notscdeadline clocksource=acpi_pm', /PCI-MSI \d+-edge +virtio2-req/, /LOC:/],
  ['nohz=off highres=off', /PCI-MSI \d+-edge +virtio2-req/, /LOC:/],
];

for (const [append, disk, timer] of ROUTES) {
  test(`with ${append || 'nothing said'}`, async (t) => {
    const path = scratch(t)('disk.img', content);
    const printed = await shell('md5sum /dev/vda; sleep 0.2; cat /proc/interrupts', {
      append,
      disks: [{ path, mode: 'ro' }],
    });
    assert(printed.startsWith(`${sum}  /dev/vda\n`), printed);
    for (const line of [disk, timer]) {
      const found = printed.split('\n').find((one) => line.test(one));
      assert(found !== undefined, printed);
      assert(Number(/: +(\d+)/.exec(found)![1]) > 3, found);
    }
  });
}
