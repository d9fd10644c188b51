/** Web standards that every host of the core has; declared here because the core compiles without DOM and Node types. */
declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>;
}
declare class TextDecoder {
  constructor(encoding?: 'utf-8');
  decode(bytes?: Uint8Array, options?: { stream?: boolean }): string;
}
interface ReadableStreamDefaultReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(reason?: unknown): Promise<void>;
}
interface WritableStreamDefaultWriter {
  readonly ready: Promise<unknown>;
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  close(): Promise<void>;
  abort(reason?: unknown): Promise<void>;
}
declare class CompressionStream {
  constructor(format: 'deflate-raw');
  readonly readable: { getReader(): ReadableStreamDefaultReader };
  readonly writable: { getWriter(): WritableStreamDefaultWriter };
}
declare class DecompressionStream {
  constructor(format: 'deflate-raw');
  readonly readable: { getReader(): ReadableStreamDefaultReader };
  readonly writable: { getWriter(): WritableStreamDefaultWriter };
}
