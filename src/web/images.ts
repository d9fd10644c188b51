/** What images are, told by their first bytes, and the machine made of them. */
import { type Head, headOf } from '../host/browser/download.ts';
import { UserError } from '../user-error.ts';
import type { DiskSource, Source, VmOptions } from './protocol.ts';
import type { SnapshotPair } from './snapshot-pair.ts';

/** A file that a person opened, or an address. */
export interface Image {
  readonly name: string;
  readonly content: Blob | string;
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

/** @throws UserError when an image is nothing that a machine can use. */
export async function machineOf(images: readonly Image[]): Promise<VmOptions> {
  const found: Record<Kind, Image[]> = { kernel: [], initrd: [], disk: [], snapshot: [] };
  const kinds = await Promise.all(images.map(kindOf));
  for (const [i, image] of images.entries()) found[kinds[i]!].push(image);
  const one = (kind: 'kernel' | 'initrd'): Blob | string | undefined => {
    const [first, second] = found[kind];
    if (second !== undefined)
      throw new UserError(`${first!.name} and ${second.name} are both of kind '${kind}': open one of them`);
    return first?.content;
  };
  const disks = found.disk.map(({ name, content }): DiskSource => ({ image: content, name, mode: 'cow' }));
  const [kernel, initrd] = [one('kernel'), one('initrd')];
  const [saved, another] = found.snapshot;
  const { snapshot, snapshotBase }: SnapshotPair =
    another === undefined
      ? { snapshot: saved?.content, snapshotBase: undefined }
      : await (await import('./snapshot-pair.ts')).pairOf(found.snapshot);
  if (snapshot !== undefined && (kernel ?? initrd) !== undefined)
    throw new UserError('a snapshot has its own kernel and initial RAM disk: open it with its disks alone');
  return { kernel, initrd, snapshot, snapshotBase, disks };
}

/** The options with what `image` names in its places. @throws UserError as `machineOf` does, and where both name a thing. */
export async function withImage({ image, ...options }: VmOptions): Promise<VmOptions> {
  if (image === undefined) return options;
  const all = Array.isArray(image) ? (image as readonly Source[]) : [image as Source];
  const { disks = [], ...found } = await machineOf(all.map(namedImage));
  for (const kind of ['kernel', 'initrd', 'snapshot', 'snapshotBase'] as const)
    if (found[kind] !== undefined && options[kind] !== undefined)
      throw new UserError(`${kind} and image both name a file of kind '${kind}': leave one out`);
  const given = Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
  return { ...options, ...given, disks: [...(options.disks ?? []), ...disks] };
}

function namedImage(source: Source): Image {
  if (typeof source === 'string') return { name: source, content: source };
  if (source instanceof File) return { name: source.name, content: source };
  return { name: 'the image', content: source instanceof Blob ? source : new Blob([source]) };
}

async function startOf({ content }: Image): Promise<Pick<Head, 'bytes' | 'size'>> {
  if (typeof content === 'string') return headOf(content, HEAD_BYTES);
  return { bytes: new Uint8Array(await content.slice(0, HEAD_BYTES).arrayBuffer()), size: content.size };
}

async function kindOf(image: Image): Promise<Kind> {
  const { name } = image;
  const { bytes: head, size } = await startOf(image);
  const signature = SIGNATURES.find(({ at, bytes }) => bytes.every((byte, i) => head[at + i] === byte));
  if (signature !== undefined) return signature.kind;
  // Of what a server does not tell, opening the disk does.
  if (size === undefined ? head.length > 0 : size > 0 && size % SECTOR === 0) return 'disk';
  throw new UserError(
    `${name}: no kernel (bzImage, ELF), no initial RAM disk (cpio, or packed), no snapshot, no disk image (qcow2, or a multiple of ${SECTOR} bytes)`,
  );
}
