import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestRam } from '../../../test/support/test-ram.ts';
import { dsdt, placeAcpiTables } from './pc-acpi.ts';

const ram = new TestRam(2 ** 20);
const rsdp = placeAcpiTables(ram);
const text = (at: number, length: number): string => String.fromCharCode(...ram.bytes.subarray(at, at + length));
const sum = (at: number, length: number): number =>
  ram.bytes.subarray(at, at + length).reduce((a, b) => a + b, 0) & 0xff;
const u32 = (at: number): number => ram.view.getUint32(at, true);
const u64 = (at: number): number => Number(ram.view.getBigUint64(at, true));
const tableAddresses = (): number[] => {
  const xsdt = u64(rsdp + 24);
  return Array.from({ length: (u32(xsdt + 4) - 36) / 8 }, (_, i) => u64(xsdt + 36 + i * 8));
};
const find = (signature: string): number => tableAddresses().find((at) => text(at, 4) === signature)!;

test('the root pointer lies where BIOSes put it and both of its checksums hold', () => {
  assert.ok(rsdp >= 0xe_0000 && rsdp < 0x10_0000 && rsdp % 16 === 0);
  assert.equal(text(rsdp, 8), 'RSD PTR ');
  assert.deepEqual([sum(rsdp, 20), sum(rsdp, 36)], [0, 0]);
});

test('RSDT and XSDT list the same tables, and every table sums up to 0', () => {
  const rsdt = u32(rsdp + 16);
  const addresses = tableAddresses();
  assert.deepEqual(
    addresses.map((_, i) => u32(rsdt + 36 + i * 4)),
    addresses,
  );
  assert.deepEqual(
    addresses.map((at) => text(at, 4)),
    ['FACP', 'APIC', 'MCFG'],
  );
  for (const at of [rsdt, u64(rsdp + 24), ...addresses, u64(find('FACP') + 140)]) assert.equal(sum(at, u32(at + 4)), 0);
});

test('the FADT leads to the power management ports, the reset port, DSDT and FACS', () => {
  const fadt = find('FACP');
  assert.equal(u32(fadt + 4), 244);
  assert.deepEqual([u32(fadt + 56), u32(fadt + 64), u32(fadt + 76)], [0x600, 0x604, 0x608]);
  assert.deepEqual([u64(fadt + 120), ram.bytes[fadt + 128]], [0xcf9, 6]);
  assert.equal(text(u32(fadt + 40), 4), 'DSDT');
  assert.equal(text(u32(fadt + 36), 4), 'FACS');
  assert.equal(u32(fadt + 36) % 64, 0);
});

test('the MADT has a processor, an I/O APIC, the timer at input 2, and levels for the SCI', () => {
  const madt = find('APIC');
  const entries = new Map<string, number[]>();
  for (let at = madt + 44; at < madt + u32(madt + 4); at += ram.bytes[at + 1]!)
    entries.set(`${ram.bytes[at]}/${ram.bytes[at + 3]}`, [...ram.bytes.subarray(at, at + ram.bytes[at + 1]!)]);
  assert.deepEqual(entries.get('0/0'), [0, 8, 0, 0, 1, 0, 0, 0]);
  assert.deepEqual(entries.get('1/0'), [1, 12, 1, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
  assert.deepEqual(entries.get('2/0'), [2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
  assert.deepEqual(entries.get('2/9'), [2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0]);
});

/** Reads a PkgLength (ACPI 6.5 §20.2.4): where its content starts and ends. */
function packageAt(aml: Uint8Array, at: number): { start: number; end: number } {
  const following = aml[at]! >> 6;
  let length = following === 0 ? aml[at]! & 0x3f : aml[at]! & 0x0f;
  for (let i = 1; i <= following; i++) length += aml[at + i]! * 2 ** (8 * i - 4);
  return { start: at + 1 + following, end: at + length };
}

test('every device of the DSDT lies inside the scope \\_SB, behind which the table ends with the events', () => {
  const aml = dsdt();
  const scopeAt = aml.findIndex((byte, i) => i > 36 && byte === 0x10);
  const scope = packageAt(aml, scopeAt + 1);
  const events = packageAt(aml, scope.end + 1);
  assert.deepEqual([aml[scope.end], events.end], [0x10, aml.length]);
  const names: string[] = [];
  for (let at = scope.start + 5; at < scope.end; ) {
    assert.deepEqual([aml[at], aml[at + 1]], [0x5b, 0x82]);
    const { start, end } = packageAt(aml, at + 2);
    names.push(String.fromCharCode(...aml.subarray(start, start + 4)));
    at = end;
  }
  assert.deepEqual(names, ['CPU0', 'PCI0', 'MBRD', 'PIC_', 'TMR_', 'RTC_', 'KBD_', 'MOU_', 'COM1', 'VGEN']);
});

test('an event tells the guest of a new generation identifier, whose address is a package of two halves', () => {
  const text = String.fromCharCode(...dsdt());
  assert.ok(text.includes('_E00\x00\x86\\\x2e_SB_VGEN\x0a\x80'));
  // ADDR: Package () { 0x000FF000, 0 }
  assert.ok(text.includes('\x08ADDR\x12\x08\x02\x0c\x00\xf0\x0f\x00\x00'));
});
