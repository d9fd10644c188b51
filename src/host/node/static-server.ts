/** A web server for folders of files. */
import { createHash } from 'node:crypto';
import { createReadStream, type Stats } from 'node:fs';
import { lstat, realpath, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import { pipeline } from 'node:stream';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.wasm': 'application/wasm',
};
const BYTES = 'application/octet-stream';

/** The page is cross-origin isolated (COOP, COEP), loads nothing from elsewhere but what a person asks it to fetch, and is in nobody's frame. */
const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy':
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src *; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
};

/** Names with a hash in them never change their content. */
const HASHED = /-(?:[0-9a-f]{8}|[0-9A-Z]{8})\.\w+$/;

/** How files may lie packed beside themselves, the smallest first. */
const PACKINGS = [
  { name: 'br', suffix: '.br' },
  { name: 'gzip', suffix: '.gz' },
] as const;

interface Found {
  readonly file: string;
  readonly status: Stats;
}

/** Answers requests with the files of a folder: of `x.js` by `x.js.br` or `x.js.gz`, where these are and the other side takes them. */
export class StaticFiles {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Never rejects. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    try {
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('Allow', 'GET, HEAD');
        return say(response, 405, 'GET and HEAD alone are answered here');
      }
      const found = await this.#find(request.url ?? '/');
      if (found === undefined) return say(response, 404, 'there is no such file');
      await this.#send(found, request, response);
    } catch (error) {
      if (response.headersSent) response.destroy();
      else say(response, 500, (error as Error).message);
    }
  }

  /** A file below the folder, also behind all links. */
  async #find(url: string): Promise<Found | undefined> {
    const wanted = pathOf(url);
    if (wanted === undefined) return undefined;
    try {
      const root = await realpath(this.#folder);
      const file = await realpath(path.join(root, wanted));
      if (file !== root && !file.startsWith(root + path.sep)) return undefined;
      const status = await stat(file);
      if (status.isDirectory()) return wanted.endsWith('/') ? await this.#find(`${wanted}index.html`) : undefined;
      return status.isFile() ? { file, status } : undefined;
    } catch {
      return undefined;
    }
  }

  async #send({ file, status }: Found, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const packed = request.headers.range === undefined ? await packedBeside(file, request) : undefined;
    const sent = packed ?? { file, status };
    const tag = entityTag(sent);
    response.setHeader('Content-Type', TYPES[path.extname(file)] ?? BYTES);
    response.setHeader('ETag', tag);
    response.setHeader('Accept-Ranges', 'bytes');
    response.setHeader('Vary', 'Accept-Encoding');
    response.setHeader('Cache-Control', HASHED.test(file) ? 'public, max-age=31536000, immutable' : 'no-cache');
    if (request.headers['if-none-match']?.split(/\s*,\s*/).includes(tag)) {
      response.writeHead(304).end();
      return;
    }
    if (packed !== undefined) response.setHeader('Content-Encoding', packed.packing);
    const range = rangeOf(request.headers.range, sent.status.size);
    if (range === 'unsatisfiable') {
      response.setHeader('Content-Range', `bytes */${status.size}`);
      return say(response, 416, 'the file has no such range');
    }
    if (range !== undefined) response.setHeader('Content-Range', `bytes ${range.start}-${range.end}/${status.size}`);
    response.setHeader('Content-Length', range === undefined ? sent.status.size : range.end - range.start + 1);
    response.writeHead(range === undefined ? 200 : 206);
    if (request.method === 'HEAD' || sent.status.size === 0) response.end();
    else pipeline(createReadStream(sent.file, range), response, () => {});
  }
}

async function packedBeside(
  file: string,
  { headers }: IncomingMessage,
): Promise<(Found & { readonly packing: string }) | undefined> {
  const accepted = String(headers['accept-encoding'] ?? '')
    .split(',')
    .filter((word) => !/;\s*q=0(?:\.0*)?\s*$/.test(word))
    .map((word) => word.split(';')[0]!.trim());
  for (const { name, suffix } of PACKINGS) {
    if (!accepted.includes(name)) continue;
    const status = await lstat(file + suffix).catch(() => undefined);
    if (status?.isFile()) return { file: file + suffix, status, packing: name };
  }
  return undefined;
}

function say(response: ServerResponse, code: number, line: string): void {
  response.setHeader('Content-Type', TYPES['.txt']!);
  response.writeHead(code).end(`${line}\n`);
}

/** The path that a request names; undefined for what names no file here. */
function pathOf(url: string): string | undefined {
  try {
    const decoded = decodeURIComponent(url.replace(/[?#].*$/s, ''));
    if (!decoded.startsWith('/') || /[\\\0]/.test(decoded)) return undefined;
    return decoded.split('/').includes('..') ? undefined : decoded;
  } catch {
    return undefined;
  }
}

function entityTag({ file, status: { size, mtimeMs } }: Found): string {
  const state = createHash('sha256').update(`${file} ${size} ${mtimeMs}`);
  return `"${state.digest('hex').slice(0, 16)}"`;
}

/** One range of bytes (RFC 9110 §14.1.2), both ends included. Several, or other units: the whole file. */
function rangeOf(
  header: string | undefined,
  size: number,
): { readonly start: number; readonly end: number } | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return undefined;
  const [first, last] = [match[1]!, match[2]!];
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
  return start >= size || end < start ? 'unsatisfiable' : { start, end };
}
