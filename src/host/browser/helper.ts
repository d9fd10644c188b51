/** The second worker of a machine: it reads a snapshot while the guest runs, or waits, and compresses one that is saved. */
import { deflate } from '../../snapshot/compression.ts';
import { damaged } from '../../snapshot/problem.ts';
import type { RandomSource } from '../../snapshot/random-access.ts';
import { inFile, SectionReader } from '../../snapshot/section-feed.ts';
import { UserError } from '../../user-error.ts';
import { FAILED, type FromHelper, type Problem, type ToHelper } from './helper-protocol.ts';
import { openPlace } from './snapshot-files.ts';
import { Staging } from './staging.ts';

/** A server is asked again before it has answered. */
const AT_ONCE = 2;

type Sections = Extract<ToHelper, { kind: 'sections' }>;

export class Helper {
  readonly #post: (message: FromHelper) => void;
  #source: RandomSource | undefined;
  #reader: SectionReader | undefined;
  #fail: (error: unknown) => void = () => {};
  /** Those who have something to put and no room for it. */
  #waiting: (() => void)[] = [];

  constructor(post: (message: FromHelper) => void) {
    this.#post = post;
    post({ kind: 'ready' });
  }

  receive(message: ToHelper): void {
    switch (message.kind) {
      case 'open':
        void openPlace(message.place).then(
          (source) => {
            this.#source = source;
            this.#post({ kind: 'opened' });
          },
          (error) => this.#post({ kind: 'failed', problem: problemOf(error) }),
        );
        break;
      case 'sections':
        this.#begin(this.#source!, message);
        break;
      case 'come':
        void this.#come(message.sections).then(() => this.#post({ kind: 'came' }));
        break;
      case 'comeNow':
        void this.#come([message.section]);
        break;
      case 'taken':
        for (const go of this.#waiting.splice(0)) go();
        break;
      case 'deflate':
        void deflate(message.content).then((bytes) => this.#post({ kind: 'deflated', id: message.id, bytes }));
        break;
      default:
        message satisfies never;
    }
  }

  #begin(source: RandomSource, { sections, staging: shared, slotBytes, bell }: Sections): void {
    const staging = new Staging(shared, slotBytes);
    const put = async (number: number, content: Uint8Array): Promise<void> => {
      while (!staging.put(number, content)) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      Atomics.add(bell, 0, 1);
      Atomics.notify(bell, 0);
      this.#post({ kind: 'put' });
    };
    this.#fail = (error) => void put(FAILED, new TextEncoder().encode(JSON.stringify(problemOf(error))));
    this.#reader = new SectionReader(source, sections, {
      wants: () => true,
      take(section, content) {
        if (content.length > slotBytes) throw inFile(damaged('its index is wrong'), source);
        return put(section, content);
      },
    });
  }

  async #come(sections: readonly number[]): Promise<void> {
    await this.#reader?.come(sections, AT_ONCE).catch(this.#fail);
  }
}

const problemOf = (error: unknown): Problem => ({
  line: error instanceof Error ? error.message : String(error),
  expected: error instanceof UserError,
});
