/** What the library needs of the platform that it runs on; `src/host/` implements it. */
import type { BlockBackend } from '../devices/contract.ts';
import type { KeptBytes } from '../engine/wasm/kept-regions.ts';
import type { HostServices } from '../machine/host-services.ts';
import type { ImageFormat } from '../storage/image.ts';

/** How a disk file is used: in place, never written, or copy-on-write over an untouched file. */
export type DiskMode = 'rw' | 'ro' | 'cow';

/** What else may be said of a disk. */
export interface DiskExtras {
  /** The file in which what is fetched from a server is kept from run to run. */
  readonly cache?: string | undefined;
  /** The file in which changes to a `cow` disk are kept from run to run. */
  readonly overlay?: string | undefined;
  /** Undefined: found out from the content. */
  readonly format?: ImageFormat | undefined;
}

/** The Linux that comes with the package. */
export interface EmbeddedGuest {
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  /** Its command line but for the console. */
  readonly append: string;
}

/** Where a platform keeps code between runs. */
export interface EngineCode {
  /** The engine's own: what was written last, whole and by the same version; else undefined. */
  read(): Uint8Array | undefined;
  write(content: Uint8Array): void;
  /** What is written has each module by itself, for who wants some of them. */
  readonly separate?: boolean;
  /** That of guests, translated. Undefined: each run translates anew. */
  readonly regions?: RegionFile | undefined;
}
export interface RegionFile {
  /** What was written last by the same version, if anything; as it is now until it is closed. */
  open(): KeptBytes | undefined;
  /** Undefined: at the end of a machine. Otherwise that may come without a word: milliseconds after which what is new is written. */
  readonly everyMs?: number;
  /** Undefined: as many as there are room for on a disk. */
  readonly mostBytes?: number;
  /** What it returns does not reject. */
  write(content: Uint8Array): void | Promise<void>;
}

/** Compresses on another thread. */
export interface Packer {
  /** Deflate (RFC 1951). */
  readonly deflate: (content: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>;
  end(): void;
}

export interface Host extends HostServices {
  /** Reads a file, or what lies at an address that begins with http:// or https://. @throws UserError when that cannot be. */
  readFile(path: string): Promise<Uint8Array>;
  /**
   * Opens a disk image: a file, or an address that begins with http:// or https://. `report` gets a line when the host
   * runs out of space, a server is in trouble, or the guest tries to make a raw disk look like another image.
   * @throws UserError when it cannot serve as a disk.
   */
  openDisk(path: string, mode: DiskMode, report: (line: string) => void, extras?: DiskExtras): Promise<BlockBackend>;
  /** Undefined: each run makes the engine's code anew. */
  readonly engineCode?: EngineCode;
  /** For a snapshot to be saved, so that the guest goes on meanwhile; undefined: there is none. */
  packer?(): Promise<Packer | undefined>;
  /** @throws UserError when the package is incomplete. */
  embeddedGuest(): Promise<EmbeddedGuest>;
}
