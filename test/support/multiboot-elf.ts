/** A Multiboot 1 kernel as an ELF file of a few bytes of machine code, which looks at what its loader gave it. */
import { DEBUG_EXIT_PORT } from './tiny-guest.ts';

const LOAD_ADDRESS = 0x10_0000;
const ELF_HEADER_BYTES = 52;
const PROGRAM_HEADER_BYTES = 32;
const HEADERS_BYTES = ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES;
const MULTIBOOT_MAGIC = 0x1bad_b002;
/** Modules on page boundaries, and a description of memory. */
const MULTIBOOT_FLAGS = 0x3;
const MULTIBOOT_BYTES = 12;
const STACK_BYTES = 0x1000;
/** Where in the information structure (Multiboot 0.6.96 §3.3) the parts stand. */
const INFO = { commandLine: 16, modulesCount: 20, modules: 24 } as const;
const COM1 = 0x3f8;

const little32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
const movDx = (port: number): number[] => [0x66, 0xba, port & 0xff, port >> 8];

/** `esi` → its C string, printed: `lodsb; test al, al; jz end; out dx, al; jmp`. */
const PRINT_STRING = [...movDx(COM1), 0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8];
/** The bytes from `esi` up to `edi`: `cmp esi, edi; jae end; lodsb; out dx, al; jmp`. */
const PRINT_RANGE = [...movDx(COM1), 0x39, 0xfe, 0x73, 0x04, 0xac, 0xee, 0xeb, 0xf8];
const exit = (value: number): number[] => [...movDx(DEBUG_EXIT_PORT), 0xb0, value, 0xee];
const printCharacter = (character: string): number[] => [...movDx(COM1), 0xb0, character.charCodeAt(0), 0xee];

/** Values that the kernel ends with through the debug-exit port. */
export const MULTIBOOT_EXIT = { well: 7, wrongMagic: 8 } as const;

/** Prints `<command line>|<name of the first module>=<its content>` and ends. */
function code(): number[] {
  const wrongMagic = [...exit(MULTIBOOT_EXIT.wrongMagic), 0xf4];
  return [
    // mov esp, the end of the stack that the file's memory size makes room for
    ...[0xbc, ...little32(LOAD_ADDRESS + STACK_BYTES)],
    // cmp eax, 0x2badb002; je over
    ...[0x3d, ...little32(0x2bad_b002), 0x74, wrongMagic.length, ...wrongMagic],
    // mov esi, [ebx + cmdline]
    ...[0x8b, 0x73, INFO.commandLine, ...PRINT_STRING, ...printCharacter('|')],
    // mov ebp, [ebx + mods_addr]; mov esi, [ebp + 8]
    ...[0x8b, 0x6b, INFO.modules, 0x8b, 0x75, 8, ...PRINT_STRING, ...printCharacter('=')],
    // mov esi, [ebp]; mov edi, [ebp + 4]
    ...[0x8b, 0x75, 0, 0x8b, 0x7d, 4, ...PRINT_RANGE],
    ...[...exit(MULTIBOOT_EXIT.well), 0xf4],
  ];
}

/** The file. It is built for a machine of 32 bits, as Multiboot kernels are. */
export function multibootElf(): Uint8Array {
  const header = [MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS) >>> 0].flatMap(little32);
  const content = [...header, ...code()];
  const bytes = new Uint8Array(HEADERS_BYTES + content.length);
  const view = new DataView(bytes.buffer);
  const entry = LOAD_ADDRESS + HEADERS_BYTES + MULTIBOOT_BYTES;
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  for (const [at, value] of [
    [16, 2],
    [18, 3],
    [40, ELF_HEADER_BYTES],
    [42, PROGRAM_HEADER_BYTES],
    [44, 1],
  ] as const)
    view.setUint16(at, value, true);
  for (const [at, value] of [
    [20, 1],
    [24, entry],
    [28, ELF_HEADER_BYTES],
  ] as const)
    view.setUint32(at, value, true);
  const segment = [1, 0, LOAD_ADDRESS, LOAD_ADDRESS, bytes.length, STACK_BYTES, 7, 0x1000];
  for (const [i, value] of segment.entries()) view.setUint32(ELF_HEADER_BYTES + 4 * i, value, true);
  bytes.set(content, HEADERS_BYTES);
  return bytes;
}
