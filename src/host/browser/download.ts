/** Files from a web server. */
import { joined } from '../../joined.ts';
import { UserError } from '../../user-error.ts';

/** How far a download is. */
export interface Progress {
  /** What a person calls it. */
  readonly name: string;
  /** Bytes. */
  readonly loaded: number;
  /** Bytes; undefined when the server does not tell. */
  readonly total: number | undefined;
}

export type ProgressListener = (progress: Progress) => void;

/** What to fetch. */
export interface Download {
  readonly url: string;
  readonly name: string;
  /** Bytes, where known beforehand: what a server tells is the size of what it compressed. */
  readonly size?: number | undefined;
}

/** What comes, as it comes. @throws UserError when it cannot be had; so does the stream when it breaks. */
export async function downloadStream(
  { url, name, size }: Download,
  report: ProgressListener,
): Promise<ReadableStream<Uint8Array>> {
  const response = await respond(url);
  const total = size ?? toldSize(response);
  const reader = response.body!.getReader();
  let loaded = 0;
  report({ name, loaded, total });
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read().catch(() => {
        throw new UserError(`${url}: the connection broke after ${loaded} bytes: try again`);
      });
      if (done) return controller.close();
      loaded += value.length;
      report({ name, loaded, total });
      controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

/** How a file begins, and its size where the server tells it. */
export interface Head {
  readonly bytes: Uint8Array;
  readonly size: number | undefined;
  /** The server sends parts of it, and tells its size. */
  readonly inRanges: boolean;
}

/** @throws UserError when it cannot be had. */
export async function headOf(url: string, length: number): Promise<Head> {
  const headers = { range: `bytes=0-${length - 1}` };
  // The browser would keep the beginning of what is given up here, and ask for the rest later.
  const response = await respond(url, { headers, cache: 'no-store' });
  const range = response.headers.get('content-range');
  const reader = response.body!.getReader();
  const parts: Uint8Array[] = [];
  for (let got = 0; got < length; ) {
    const { done, value } = await reader.read().catch(() => {
      throw new UserError(`${url}: the connection broke after ${got} bytes: try again`);
    });
    if (done) break;
    parts.push(value);
    got += value.length;
  }
  await reader.cancel();
  const told = range === null ? undefined : /\/(\d+)$/.exec(range)?.[1];
  const size = told === undefined ? (range === null ? toldSize(response) : undefined) : Number(told);
  return { bytes: joined(parts).subarray(0, length), size, inRanges: told !== undefined };
}

/** All of it. @throws UserError when it cannot be had. */
export async function download(what: Download, report: ProgressListener): Promise<Uint8Array> {
  const reader = (await downloadStream(what, report)).getReader();
  const parts: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return joined(parts);
    parts.push(value);
  }
}

async function respond(url: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch {
    throw new UserError(
      `${url}: cannot be fetched: check the address, the network, and that its server lets other sites read it (Access-Control-Allow-Origin)`,
    );
  }
  if (!response.ok) throw new UserError(`${url}: the server answers ${response.status}: check the address`);
  return response;
}

function toldSize({ headers }: Response): number | undefined {
  const length = headers.get('content-length');
  return length === null || headers.has('content-encoding') ? undefined : Number(length);
}

/** What `gzip` packed. */
export async function unpacked(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
