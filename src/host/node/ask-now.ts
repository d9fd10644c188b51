/** An answer from a server, with this thread waiting for it: Node has no such thing, so that another thread asks. */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { HttpAnswer } from '../../storage/http/platform.ts';
import { HttpProblem } from '../../storage/http/problem.ts';

/** What the other thread is asked for. */
export interface Asked {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly port: MessagePort;
  /** Becomes 1 when the answer is in `port`. */
  readonly answered: Int32Array<SharedArrayBuffer>;
}

export type Answered =
  | {
      readonly status: number;
      readonly url: string;
      readonly headers: readonly (readonly [string, string])[];
      readonly body: Uint8Array;
    }
  | { readonly failure: { readonly name: string; readonly message: string; readonly cause: object } };

/** Within which the other thread gives up by itself. */
const GRACE_MS = 5000;

let worker: Worker | undefined;

/** Throws what `fetch` rejects with. */
export function askNow(url: string, headers: Readonly<Record<string, string>>, timeoutMs: number): HttpAnswer {
  const { port1, port2 } = new MessageChannel();
  const answered = new Int32Array(new SharedArrayBuffer(4));
  const asked: Asked = { url, headers, timeoutMs, port: port2, answered };
  try {
    thread().postMessage(asked, [port2]);
    Atomics.wait(answered, 0, 0, timeoutMs + GRACE_MS);
    const found = receiveMessageOnPort(port1)?.message as Answered | undefined;
    if (found === undefined) throw late(timeoutMs);
    return answerOf(found, timeoutMs);
  } finally {
    port1.close();
  }
}

/** Somebody will wait soon: starting the thread takes a while. */
export function startAsking(): void {
  thread();
}

/** Started when it is first needed; no process stays for it. */
function thread(): Worker {
  // The built files have another suffix than the sources.
  worker ??= new Worker(new URL(`./ask-worker${import.meta.url.slice(-3)}`, import.meta.url));
  worker.unref();
  return worker;
}

const late = (timeoutMs: number): HttpProblem =>
  new HttpProblem('again', `an answer took more than ${timeoutMs / 1000} s`);

function answerOf(found: Answered, timeoutMs: number): HttpAnswer {
  if ('failure' in found) {
    const { name, message, cause } = found.failure;
    if (name === 'TimeoutError') throw late(timeoutMs);
    throw new TypeError(message, { cause: Object.assign(new Error(), cause) });
  }
  const { status, url, headers, body } = found;
  const all = new Headers(headers as [string, string][]);
  return { response: { status, url, headers: all, body: null }, body };
}

const never = new Int32Array(new SharedArrayBuffer(4));

/** Lets the thread wait. */
export function sleepNow(ms: number): void {
  Atomics.wait(never, 0, 0, ms);
}
