/** The worker that a machine runs in. */
import type { Message, Request } from './protocol.ts';
import { Session } from './session.ts';

const session = new Session((message: Message) => {
  const moved = message.kind === 'output' ? [message.bytes.buffer] : [];
  postMessage(message, { transfer: moved });
});

addEventListener('message', ({ data }: MessageEvent<Request>) => session.receive(data));
