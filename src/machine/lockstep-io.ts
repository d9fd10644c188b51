/**
 * Host I/O under a virtual clock. Real disks answer when they like, which would make runs differ:
 * here a request is answered at the first boundary between slices, in the order of asking, while guest time stands still.
 */
import type { BlockBackend } from '../devices/contract.ts';
import type { HostTime } from './host-services.ts';

interface Request {
  /** Resolves when the host has answered, however. */
  readonly answered: Promise<void>;
  /** Passes the answer on. */
  release(): void;
}

export class LockstepIo {
  readonly #time: HostTime;
  /** Called for every request, so that the slice ends soon. */
  readonly #asked: () => void;
  #requests: Request[] = [];
  #settling: Promise<void> | undefined;

  constructor(time: HostTime, asked: () => void) {
    this.#time = time;
    this.#asked = asked;
  }

  /** The same disk, answering at slice boundaries only. */
  wrap(backend: BlockBackend): BlockBackend {
    return {
      size: backend.size,
      readOnly: backend.readOnly,
      read: (offset, into) => this.#defer(backend.read(offset, into)),
      write: (offset, from) => this.#defer(backend.write(offset, from)),
      flush: () => this.#defer(backend.flush()),
      close: () => backend.close(),
    };
  }

  /** Answers everything asked so far and in consequence; undefined when nothing was. */
  settle(): Promise<void> | undefined {
    if (this.#settling === undefined && this.#requests.length > 0)
      this.#settling = this.#settleAll().finally(() => (this.#settling = undefined));
    return this.#settling;
  }

  async #settleAll(): Promise<void> {
    while (this.#requests.length > 0) {
      const batch = this.#requests;
      this.#requests = [];
      for (const request of batch) await request.answered;
      for (const request of batch) request.release();
      // A turn of the event loop: devices have heard every answer when it is over.
      await this.#time.breathe();
    }
  }

  #defer(answer: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      let release = resolve;
      const answered = answer.catch((error: unknown) => {
        release = () => reject(error);
      });
      this.#requests.push({ answered, release: () => release() });
      this.#asked();
    });
  }
}
