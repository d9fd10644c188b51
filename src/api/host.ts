/** What the library needs of the platform that it runs on; `src/host/` implements it. */
import type { BlockBackend } from '../devices/contract.ts';
import type { HostServices } from '../machine/host-services.ts';

/** How a disk file is used: in place, never written, or copy-on-write over an untouched file. */
export type DiskMode = 'rw' | 'ro' | 'cow';

/** The Linux that comes with the package. */
export interface EmbeddedGuest {
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  /** Its command line but for the console. */
  readonly append: string;
}

/** Where a platform keeps the engine's own code between runs. */
export interface EngineCode {
  /** What was written last, whole and by the same version; else undefined. */
  read(): Uint8Array | undefined;
  write(content: Uint8Array): void;
}

export interface Host extends HostServices {
  /** @throws UserError when the file cannot be read. */
  readFile(path: string): Promise<Uint8Array>;
  /**
   * Opens a disk image. `report` gets a line, at most once, when the host runs out of space.
   * @throws UserError when the file cannot serve as a disk.
   */
  openDisk(path: string, mode: DiskMode, report: (line: string) => void): Promise<BlockBackend>;
  /** Undefined: each run makes the engine's code anew. */
  readonly engineCode?: EngineCode;
  /** @throws UserError when the package is incomplete. */
  embeddedGuest(): Promise<EmbeddedGuest>;
}
