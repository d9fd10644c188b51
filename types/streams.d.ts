/** The parts of the Streams and Compression standards that the core uses; every host has them. */
interface StreamReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(reason?: unknown): Promise<void>;
}
interface StreamWriter {
  readonly ready: Promise<unknown>;
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  close(): Promise<void>;
  abort(reason?: unknown): Promise<void>;
}
declare class CompressionStream {
  constructor(format: 'deflate-raw');
  readonly readable: { getReader(): StreamReader };
  readonly writable: { getWriter(): StreamWriter };
}
declare class DecompressionStream {
  constructor(format: 'deflate-raw');
  readonly readable: { getReader(): StreamReader };
  readonly writable: { getWriter(): StreamWriter };
}
