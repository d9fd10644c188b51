/**
 * Blocks that were fetched, kept in a file from run to run. Each has a hash of its content, its number and the state of
 * the image that it is of, so that nothing needs to be flushed or cleared: what is not whole or is of another state does not count.
 *
 * | offset | |
 * |---|---|
 * | 0 | `TRZCACH1`, block size (u32), then zeros to 4096 |
 * | 4096 | for each block of the image 32 bytes: the hash, or zeros |
 * | behind, from a multiple of 4096 on | the blocks, each at its place |
 */
import { UserError } from '../../user-error.ts';
import type { RandomAccessFile } from '../file.ts';

const MAGIC = 'TRZCACH1';
const PAGE = 4096;
const HASH_BYTES = 32;
const NUMBER_BYTES = 8;

type Sha256 = (bytes: Uint8Array) => Promise<Uint8Array>;

export interface KeptImage {
  readonly size: number;
  readonly blockSize: number;
  /** Changes when the image does. */
  readonly identity: string;
}

export class KeptBlocks {
  readonly #file: RandomAccessFile;
  readonly #image: KeptImage;
  readonly #sha256: Sha256;
  readonly #state: Uint8Array;
  readonly #dataAt: number;
  readonly #putting = new Set<Promise<unknown>>();
  #failed = false;

  private constructor(file: RandomAccessFile, image: KeptImage, sha256: Sha256, state: Uint8Array) {
    this.#file = file;
    this.#image = image;
    this.#sha256 = sha256;
    this.#state = state;
    const table = Math.ceil(image.size / image.blockSize) * HASH_BYTES;
    this.#dataAt = PAGE + Math.ceil(table / PAGE) * PAGE;
  }

  /** Opens a cache or begins one in an empty file. @throws UserError, which begins with `name`, when the file holds something else */
  static async open(file: RandomAccessFile, image: KeptImage, sha256: Sha256, name: string): Promise<KeptBlocks> {
    const header = new Uint8Array(MAGIC.length + 4);
    await file.read(0, header);
    const wanted = new Uint8Array(header.length);
    wanted.set(new TextEncoder().encode(MAGIC));
    new DataView(wanted.buffer).setUint32(MAGIC.length, image.blockSize, true);
    const magic = wanted.subarray(0, MAGIC.length);
    if (header.some((byte) => byte !== 0) && !same(header.subarray(0, MAGIC.length), magic))
      throw new UserError(`${name}: this is no cache of a disk: name another file, or remove it`);
    // Blocks of another size have hashes of their own and so do not count.
    if (!same(header, wanted)) await file.write(0, wanted);
    const state = await sha256(new TextEncoder().encode(`${image.size} ${image.blockSize} ${image.identity}`));
    return new KeptBlocks(file, image, sha256, state);
  }

  /** The block, when it was kept and is whole. */
  async get(index: number): Promise<Uint8Array | undefined> {
    const { size, blockSize } = this.#image;
    const hash = new Uint8Array(HASH_BYTES);
    await this.#file.read(PAGE + index * HASH_BYTES, hash);
    if (hash.every((byte) => byte === 0)) return undefined;
    const block = new Uint8Array(Math.min(blockSize, size - index * blockSize));
    await this.#file.read(this.#dataAt + index * blockSize, block);
    return same(hash, await this.#hash(index, block)) ? block : undefined;
  }

  /** Keeps a block. A host that has no room, or fails, is not asked again. */
  async put(index: number, block: Uint8Array): Promise<void> {
    if (this.#failed) return;
    const putting = this.#put(index, block).catch(() => (this.#failed = true));
    this.#putting.add(putting);
    await putting;
    this.#putting.delete(putting);
  }

  async close(): Promise<void> {
    await Promise.all(this.#putting);
    await this.#file.close();
  }

  async #put(index: number, block: Uint8Array): Promise<void> {
    await this.#file.write(this.#dataAt + index * this.#image.blockSize, block);
    await this.#file.write(PAGE + index * HASH_BYTES, await this.#hash(index, block));
  }

  #hash(index: number, block: Uint8Array): Promise<Uint8Array> {
    const bytes = new Uint8Array(HASH_BYTES + NUMBER_BYTES + block.length);
    bytes.set(this.#state);
    new DataView(bytes.buffer).setBigUint64(HASH_BYTES, BigInt(index), true);
    bytes.set(block, HASH_BYTES + NUMBER_BYTES);
    return this.#sha256(bytes);
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
