/** A thread that asks servers for one that waits: `ask-now.ts`. */
import { parentPort } from 'node:worker_threads';
import type { Answered, Asked } from './ask-now.ts';

async function answer({ url, headers, timeoutMs }: Asked): Promise<Answered> {
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(timeoutMs), cache: 'no-store' });
    const body = new Uint8Array(await response.arrayBuffer());
    return { status: response.status, url: response.url, headers: [...response.headers], body };
  } catch (error) {
    const { name, message, cause } = error as Error;
    // What a problem is told by does not come through as it is.
    const inner =
      cause instanceof Error ? { message: cause.message, code: 'code' in cause ? cause.code : undefined } : {};
    return { failure: { name, message, cause: inner } };
  }
}

parentPort!.on('message', async (asked: Asked) => {
  asked.port.postMessage(await answer(asked));
  Atomics.store(asked.answered, 0, 1);
  Atomics.notify(asked.answered, 0);
});
