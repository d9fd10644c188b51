/**
 * Starts a Linux guest on v86 with the serial port on standard output, until the guest powers off:
 * `node bench/peers/v86-machine.ts FIRMWARE-DIRECTORY KERNEL INITRD APPEND MEMORY-MIB`.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { V86 } from 'v86';
import { V86Console } from './v86-console.ts';

const [firmware, kernel, initrd, cmdline, memoryMiB] = process.argv.slice(2);

const file = (name: string): { buffer: ArrayBuffer } => ({ buffer: Uint8Array.from(readFileSync(name)).buffer });

const machine = new V86({
  wasm_path: fileURLToPath(new URL('v86.wasm', import.meta.resolve('v86'))),
  bios: file(path.join(firmware, 'bios-256k.bin')),
  vga_bios: file(path.join(firmware, 'vgabios-stdvga.bin')),
  bzimage: file(kernel),
  initrd: file(initrd),
  cmdline,
  memory_size: Number(memoryMiB) * 2 ** 20,
  disable_keyboard: true,
  disable_mouse: true,
  disable_speaker: true,
  autostart: true,
});

const terminal = new V86Console();
machine.add_listener('serial0-output-byte', (byte: number) => {
  process.stdout.write(terminal.take(byte));
  if (terminal.ended) process.stdout.end(() => process.exit(0));
});
