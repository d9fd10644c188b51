/** Output on its way to the page: in few messages, and never more than the page keeps up with. */
import { joined } from '../../joined.ts';

/** Bytes that the page has not shown yet, from which the guest waits. */
const MOST_WAITING = 2 ** 17;
/** A screen shows 60 pictures a second. */
const PAUSE_MS = 16;

export class OutputQueue<Port> {
  readonly #send: (bytes: Uint8Array<ArrayBuffer>, port: Port) => void;
  readonly #parts: Uint8Array[] = [];
  #port: Port | undefined;
  #waiting = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #drained = (): void => {};

  constructor(send: (bytes: Uint8Array<ArrayBuffer>, port: Port) => void) {
    this.#send = send;
  }

  add(bytes: Uint8Array, port: Port): void {
    if (port !== this.#port) this.flush();
    this.#port = port;
    this.#parts.push(bytes);
    this.#waiting += bytes.length;
    this.#timer ??= setTimeout(() => this.flush(), PAUSE_MS);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#parts.length === 0) return;
    this.#send(joined(this.#parts.splice(0)), this.#port!);
  }

  /** The page has shown so many bytes. */
  shown(bytes: number): void {
    this.#waiting -= bytes;
    if (this.#waiting < MOST_WAITING) this.#drained();
  }

  /** What a guest that prints too fast has to wait for. */
  hold(): Promise<void> | undefined {
    if (this.#waiting < MOST_WAITING) return undefined;
    this.flush();
    return new Promise((resolve) => (this.#drained = resolve));
  }
}
