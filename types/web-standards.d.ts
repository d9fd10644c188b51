/** Web standards that every host of the core has; declared here because the core compiles without DOM and Node types. */
declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>;
}
declare class TextDecoder {
  constructor(encoding?: 'utf-8');
  decode(bytes?: Uint8Array, options?: { stream?: boolean }): string;
}
interface ReadableStreamDefaultReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array }>;
}
interface WritableStreamDefaultWriter {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}
declare class CompressionStream {
  constructor(format: 'deflate-raw');
  readonly readable: { getReader(): ReadableStreamDefaultReader };
  readonly writable: { getWriter(): WritableStreamDefaultWriter };
}
