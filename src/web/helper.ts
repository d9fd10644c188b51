/** The worker that helps a machine's. */
import { Helper } from '../host/browser/helper.ts';
import type { FromHelper, ToHelper } from '../host/browser/helper-protocol.ts';

const helper = new Helper((message: FromHelper) => {
  const moved = message.kind === 'deflated' ? [message.bytes.buffer] : [];
  postMessage(message, { transfer: moved });
});

addEventListener('message', ({ data }: MessageEvent<ToHelper>) => helper.receive(data));
