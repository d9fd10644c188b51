/** A second worker beside the machine's, as that sees it. */
import { UserError } from '../../user-error.ts';
import type { FilePlace, FromHelper, Problem, ToHelper } from './helper-protocol.ts';
import { openWorker } from './open-worker.ts';

export class HelperWorker {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** `base`: the folder of the static build. Undefined where its script cannot be loaded. */
  static async start(base: string): Promise<HelperWorker | undefined> {
    const worker = openWorker(new URL('helper.js', base), 'trapeze-helper');
    const runs = await new Promise<boolean>((resolve) => {
      worker.onerror = () => resolve(false);
      worker.onmessage = () => resolve(true);
    });
    return runs ? new HelperWorker(worker) : undefined;
  }

  /** Lets it open a file. @throws UserError when that cannot be had */
  open(place: FilePlace): Promise<void> {
    this.post({ kind: 'open', place });
    return new Promise((resolve, reject) =>
      this.listen((message) => (message.kind === 'failed' ? reject(errorOf(message.problem)) : resolve())),
    );
  }

  listen(heard: (message: FromHelper) => void): void {
    this.#worker.onmessage = ({ data }: MessageEvent<FromHelper>) => heard(data);
  }

  post(message: ToHelper): void {
    this.#worker.postMessage(message);
  }

  end(): void {
    this.#worker.terminate();
  }
}

export const errorOf = ({ line, expected }: Problem): Error => (expected ? new UserError(line) : new Error(line));
