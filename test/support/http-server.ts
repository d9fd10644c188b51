/** A web server in this process that serves one file and misbehaves as told. */
import { createReadStream, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

/** What the server does with a request for the file. */
export type Behaviour =
  | 'serve'
  /** Closes the connection before, or in the middle of, the answer. */
  | 'drop'
  | 'dropHalfway'
  /** Says nothing, or stops in the middle of the body, and keeps the connection. */
  | 'stall'
  | 'stallHalfway'
  /** Answers another range than the one asked for. */
  | 'wrongRange'
  /** Says that it sends the range, and sends less or more. */
  | 'short'
  | 'long'
  /** Sends the right headers and wrong bytes. */
  | 'garble'
  /** Sends the whole file. */
  | 'whole'
  | 'compressed'
  /** Sends a range and does not say which, or not of how many bytes. */
  | 'unnamedRange'
  | 'unknownSize'
  | 'redirect'
  /** Sends the range after a while. */
  | 'slow'
  /** Sends the range when the test says so: it is in `held` until then. */
  | 'hold'
  | { readonly status: number; readonly retryAfter?: string };

export interface HttpServer {
  readonly url: string;
  content: Uint8Array;
  etag: string | undefined;
  /** Sent with each answer, and with 404 for what is not there. */
  headers: Readonly<Record<string, string>>;
  headersOfMissing: Readonly<Record<string, string>> | undefined;
  /** The text of the manifest beside the file; undefined: there is none. */
  manifest: string | undefined;
  /** What the next requests for the file meet; when it is empty, `usual`. */
  readonly plan: Behaviour[];
  usual: Behaviour;
  /** The ranges asked for. */
  readonly asked: string[];
  /** Bytes of the file that were sent. */
  sent: number;
  /** Questions of browsers for leave to ask. */
  preflights: number;
  /** Called when a request is left without an answer, or with half of one. */
  onStall: () => void;
  /** What sends to those whom `hold` met, in the order in which they asked. */
  readonly held: (() => void)[];
  /** Ends all connections and takes no more. */
  die(): void;
}

const MANIFEST = '/disk.img.manifest.json';
/** Where the file is, too, for who follows. */
const MOVED = '/moved/disk.img';

const SLOW_MS = 250;

type Range = readonly [from: number, to: number];

/** Starts a server that is gone when the test is over. */
export async function serve(test: TestContext, content: Uint8Array): Promise<HttpServer> {
  const server = createServer((request, response) => answer(state, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const die = (): void => {
    server.close();
    server.closeAllConnections();
  };
  test.after(die);
  const state: HttpServer = {
    url: `http://127.0.0.1:${port}/disk.img`,
    content,
    etag: '"1"',
    headers: {},
    headersOfMissing: undefined,
    manifest: undefined,
    plan: [],
    usual: 'serve',
    asked: [],
    sent: 0,
    preflights: 0,
    onStall: () => {},
    held: [],
    die,
  };
  return state;
}

function answer(state: HttpServer, request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url!, state.url);
  const there = pathname !== MANIFEST || state.manifest !== undefined;
  const headers = there ? state.headers : (state.headersOfMissing ?? state.headers);
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (request.method === 'OPTIONS') {
    state.preflights += 1;
    response.writeHead(403).end();
    return;
  }
  if (pathname === MANIFEST && state.manifest !== undefined) response.end(state.manifest);
  else if (pathname === MOVED) answerRange(state, rangeOf(state, request)!, 'serve', response);
  else if (pathname !== '/disk.img') response.writeHead(404).end();
  else answerFile(state, request, response);
}

function answerFile(state: HttpServer, request: IncomingMessage, response: ServerResponse): void {
  const { content, etag } = state;
  state.asked.push(request.headers.range ?? 'all');
  if (etag !== undefined) response.setHeader('etag', etag);
  const behaviour = state.plan.shift() ?? state.usual;
  if (typeof behaviour === 'object') {
    if (behaviour.retryAfter !== undefined) response.setHeader('retry-after', behaviour.retryAfter);
    response.writeHead(behaviour.status).end('no');
    return;
  }
  const range = rangeOf(state, request);
  const condition = request.headers['if-range'];
  if (range === undefined || behaviour === 'whole' || (condition !== undefined && condition !== etag)) {
    state.sent += content.length;
    response.writeHead(200, { 'content-length': content.length }).end(content);
    return;
  }
  if (range[0] >= content.length) response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
  else answerRange(state, range, behaviour, response);
}

function rangeOf({ content }: HttpServer, request: IncomingMessage): Range | undefined {
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  return match === null ? undefined : [Number(match[1]), Math.min(Number(match[2]), content.length - 1)];
}

function answerRange(
  state: HttpServer,
  [from, to]: Range,
  behaviour: Exclude<Behaviour, object>,
  response: ServerResponse,
): void {
  const body = state.content.slice(from, to + 1);
  const head = (first: number, headers: Record<string, string> = {}): ServerResponse =>
    response.writeHead(206, {
      'content-range': `bytes ${first}-${first + body.length - 1}/${state.content.length}`,
      ...headers,
    });
  const half = body.subarray(0, body.length / 2);
  if (behaviour !== 'hold') state.sent += body.length;
  switch (behaviour) {
    case 'serve':
      head(from, { 'content-length': `${body.length}` }).end(body);
      break;
    case 'slow':
      setTimeout(() => head(from, { 'content-length': `${body.length}` }).end(body), SLOW_MS);
      break;
    case 'hold':
      state.held.push(() => {
        state.sent += body.length;
        head(from, { 'content-length': `${body.length}` }).end(body);
      });
      break;
    case 'drop':
      response.destroy();
      break;
    case 'dropHalfway':
      head(from, { 'content-length': `${body.length}` }).write(half, () => response.destroy());
      break;
    case 'stall':
      state.onStall();
      break;
    case 'stallHalfway':
      head(from, { 'content-length': `${body.length}` }).write(half, () => state.onStall());
      break;
    case 'wrongRange':
      head(from + 512).end(body);
      break;
    case 'short':
      head(from).end(half);
      break;
    case 'long':
      head(from).end(Buffer.concat([body, half]));
      break;
    case 'garble':
      head(from).end(body.map((byte) => byte ^ 0x55));
      break;
    case 'compressed':
      head(from, { 'content-encoding': 'gzip' }).end(body);
      break;
    case 'unnamedRange':
      response.writeHead(206).end(body);
      break;
    case 'unknownSize':
      response.writeHead(206, { 'content-range': `bytes ${from}-${to}/*` }).end(body);
      break;
    case 'redirect':
      response.writeHead(302, { location: MOVED }).end();
      break;
    case 'whole':
      throw new Error('answered before');
    default:
      behaviour satisfies never;
  }
}

/** Serves a file, whatever is asked for, in ranges. */
export async function serveFile(test: TestContext, path: string): Promise<{ readonly url: string; sent: number }> {
  const { size } = statSync(path);
  const state = { url: '', sent: 0 };
  const server = createServer((request, response) => {
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (match === null || request.url !== '/disk.img') {
      response.writeHead(404).end();
      return;
    }
    const [start, end] = [Number(match[1]), Math.min(Number(match[2]), size - 1)];
    state.sent += end + 1 - start;
    response.writeHead(206, { 'content-range': `bytes ${start}-${end}/${size}`, etag: '"1"' });
    createReadStream(path, { start, end }).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  test.after(() => {
    server.close();
    server.closeAllConnections();
  });
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk.img`;
  return state;
}
