/** What files a person opens are, told by their first bytes, and the machine made of them. */
import { UserError } from '../user-error.ts';
import type { DiskSource, VmOptions } from './protocol.ts';

export interface DroppedFile {
  readonly name: string;
  readonly blob: Blob;
}

/** Bytes that suffice to tell. */
const HEAD_BYTES = 0x210;
const SECTOR = 512;

type Kind = 'kernel' | 'initrd' | 'disk' | 'snapshot';

/** Where formats have which bytes. */
const SIGNATURES: readonly { readonly kind: Kind; readonly at: number; readonly bytes: readonly number[] }[] = [
  { kind: 'snapshot', at: 0, bytes: [0x89, 0x54, 0x52, 0x41, 0x50, 0x0d, 0x0a, 0x1a] },
  { kind: 'disk', at: 0, bytes: [0x51, 0x46, 0x49, 0xfb] },
  // bzImage: 'HdrS' (Linux boot protocol).
  { kind: 'kernel', at: 0x202, bytes: [0x48, 0x64, 0x72, 0x53] },
  { kind: 'kernel', at: 0, bytes: [0x7f, 0x45, 0x4c, 0x46] },
  // cpio 'newc', and packed by gzip, xz, zstd, lz4, bzip2, lzma.
  { kind: 'initrd', at: 0, bytes: [0x30, 0x37, 0x30, 0x37, 0x30] },
  { kind: 'initrd', at: 0, bytes: [0x1f, 0x8b] },
  { kind: 'initrd', at: 0, bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a] },
  { kind: 'initrd', at: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd] },
  { kind: 'initrd', at: 0, bytes: [0x02, 0x21, 0x4c, 0x18] },
  { kind: 'initrd', at: 0, bytes: [0x42, 0x5a, 0x68] },
  { kind: 'initrd', at: 0, bytes: [0x5d, 0x00, 0x00] },
];

/** @throws UserError when a file is nothing that a machine can use. */
export async function machineOf(files: readonly DroppedFile[]): Promise<VmOptions> {
  const found: Record<Kind, DroppedFile[]> = { kernel: [], initrd: [], disk: [], snapshot: [] };
  for (const file of files) found[await kindOf(file)].push(file);
  const one = (kind: 'kernel' | 'initrd' | 'snapshot'): Blob | undefined => {
    const [first, second] = found[kind];
    if (second !== undefined)
      throw new UserError(`${first!.name} and ${second.name} are both of kind '${kind}': open one of them`);
    return first?.blob;
  };
  const disks = found.disk.map(({ name, blob }): DiskSource => ({ image: blob, name, mode: 'cow' }));
  const [kernel, initrd, snapshot] = [one('kernel'), one('initrd'), one('snapshot')];
  if (snapshot !== undefined && (kernel ?? initrd) !== undefined)
    throw new UserError('a snapshot has its own kernel and initial RAM disk: open it with its disks alone');
  return { kernel, initrd, snapshot, disks };
}

async function kindOf({ name, blob }: DroppedFile): Promise<Kind> {
  const head = new Uint8Array(await blob.slice(0, HEAD_BYTES).arrayBuffer());
  const signature = SIGNATURES.find(({ at, bytes }) => bytes.every((byte, i) => head[at + i] === byte));
  if (signature !== undefined) return signature.kind;
  if (blob.size > 0 && blob.size % SECTOR === 0) return 'disk';
  throw new UserError(
    `${name}: no kernel (bzImage, ELF), no initial RAM disk (cpio, or packed), no snapshot, no disk image (qcow2, or a multiple of ${SECTOR} bytes)`,
  );
}
