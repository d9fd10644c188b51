/**
 * Guests of a few instructions, for tests of what surrounds a guest: flat Multiboot images of 32-bit code.
 * They touch only the serial port, the power management port and the debug-exit port.
 */

const MULTIBOOT_MAGIC = 0x1bad_b002;
/** The header carries addresses: the image is flat. */
const ADDRESS_FIELDS = 1 << 16;
const HEADER_BYTES = 32;
const LOAD_ADDRESS = 0x10_0000;
const COM1 = 0x3f8;
const COM1_LINE_STATUS = 0x3fd;
const PM1A_CONTROL = 0x604;
/** SLP_EN with the SLP_TYP of soft-off. */
const SOFT_OFF = (1 << 13) | (5 << 10);
export const DEBUG_EXIT_PORT = 0xf4;

const little16 = (value: number): number[] => [value & 0xff, value >> 8];
const movDx = (port: number): number[] => [0x66, 0xba, ...little16(port)];
const outByte = (port: number, value: number): number[] => [...movDx(port), 0xb0, value, 0xee];
const outWord = (port: number, value: number): number[] => [...movDx(port), 0x66, 0xb8, ...little16(value), 0x66, 0xef];

/** Prints on the serial port. */
export const print = (text: string): number[] =>
  [...new TextEncoder().encode(text)].flatMap((byte) => outByte(COM1, byte));
export const powerOff = (): number[] => outWord(PM1A_CONTROL, SOFT_OFF);
export const debugExit = (value: number): number[] => outByte(DEBUG_EXIT_PORT, value);
/** Resets the machine by the reset control register of the chipset. */
export const reset = (): number[] => outByte(0xcf9, 0x06);
/** `jmp $` */
export const spin = (): number[] => [0xeb, 0xfe];
/** Runs `body` for ever; up to about 120 bytes. */
export const forever = (body: readonly number[]): number[] => [...body, 0xeb, -(body.length + 2) & 0xff];
/** An exception with an interrupt table of no entries: `mov esp, 0x90000; push 0; push 0; lidt [esp]; int3`. */
export const tripleFault = (): number[] => [
  ...[0xbc, 0x00, 0x00, 0x09, 0x00],
  ...[0x6a, 0x00, 0x6a, 0x00],
  ...[0x0f, 0x01, 0x1c, 0x24],
  0xcc,
];
/** Prints each byte that is typed, until `last`. */
export const echoUntil = (last: string): number[] => {
  const wait = [...movDx(COM1_LINE_STATUS), 0xec, 0xa8, 0x01];
  const echo = [...movDx(COM1), 0xec, 0xee, 0x3c, last.charCodeAt(0)];
  const loop = [...wait, 0x74, -(wait.length + 2) & 0xff, ...echo];
  return [...loop, 0x75, -(loop.length + 2) & 0xff];
};

/** A kernel file that executes `code`. */
export function tinyGuest(...code: readonly (readonly number[])[]): Uint8Array {
  const body = code.flat();
  const image = new Uint8Array(HEADER_BYTES + body.length);
  const header = new DataView(image.buffer);
  const end = LOAD_ADDRESS + image.length;
  const fields = [
    MULTIBOOT_MAGIC,
    ADDRESS_FIELDS,
    -(MULTIBOOT_MAGIC + ADDRESS_FIELDS) >>> 0,
    LOAD_ADDRESS,
    LOAD_ADDRESS,
    end,
    end,
    LOAD_ADDRESS + HEADER_BYTES,
  ];
  for (const [i, field] of fields.entries()) header.setUint32(4 * i, field, true);
  image.set(body, HEADER_BYTES);
  return image;
}
