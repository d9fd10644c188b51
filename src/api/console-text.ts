/** What a machine printed, as text, and those who wait for some of it. */

/** Where a pattern was found. */
export interface TextMatch {
  /** What was printed between the previous match and this one. */
  readonly before: string;
  readonly text: string;
  /** The groups of a regular expression. */
  readonly groups: readonly (string | undefined)[];
}

/** Characters kept when nobody looks for them. */
const KEPT = 2 ** 20;

interface Waiter {
  readonly find: (text: string) => { readonly index: number; readonly 0: string } | null;
  readonly found: (match: TextMatch) => void;
  readonly ended: (why: string) => void;
}

/** Collects UTF-8 output; each match consumes the text up to its end, so patterns are met in order. */
export class ConsoleText {
  readonly #decoder = new TextDecoder();
  #unread = '';
  #waiters: Waiter[] = [];
  #endedBecause: string | undefined;

  add(bytes: Uint8Array): void {
    this.#unread += this.#decoder.decode(bytes, { stream: true });
    this.#serve();
    if (this.#unread.length > 2 * KEPT) this.#unread = this.#unread.slice(-KEPT);
  }

  /** Nothing more will be printed; those who wait are told why. */
  end(why: string): void {
    this.#endedBecause ??= why;
    for (const waiter of this.#waiters.splice(0)) waiter.ended(why);
  }

  /** Resolves when `pattern` is printed. The result's `cancel` rejects it. */
  next(pattern: string | RegExp): { match: Promise<TextMatch>; cancel: (why: string) => void } {
    let cancel = (_why: string): void => {};
    const match = new Promise<TextMatch>((resolve, reject) => {
      const ended = (why: string): void => reject(new Error(`${why} before ${pattern} was printed${this.#tail()}`));
      const waiter: Waiter = { find: finder(pattern), found: resolve, ended };
      cancel = (why) => {
        const at = this.#waiters.indexOf(waiter);
        if (at < 0) return;
        this.#waiters.splice(at, 1);
        ended(why);
      };
      this.#waiters.push(waiter);
      this.#serve();
      if (this.#endedBecause !== undefined) cancel(this.#endedBecause);
    });
    return { match, cancel };
  }

  #serve(): void {
    for (let waiter = this.#waiters[0]; waiter !== undefined; waiter = this.#waiters[0]) {
      const match = waiter.find(this.#unread);
      if (match === null) return;
      const text = match[0];
      const groups = Array.isArray(match) ? match.slice(1) : [];
      const before = this.#unread.slice(0, match.index);
      this.#unread = this.#unread.slice(match.index + text.length);
      this.#waiters.shift();
      waiter.found({ before, text, groups });
    }
  }

  #tail(): string {
    const lines = this.#unread.trimEnd().split(/\r?\n/).slice(-3);
    return lines.join('') === '' ? '' : `; the last lines are:\n${lines.join('\n')}`;
  }
}

/** How to find the first place of a pattern in a text. */
function finder(pattern: string | RegExp): Waiter['find'] {
  if (typeof pattern !== 'string') {
    const expression = new RegExp(pattern.source, pattern.flags.replaceAll(/[gy]/g, ''));
    return (text) => expression.exec(text);
  }
  return (text) => {
    const index = text.indexOf(pattern);
    return index < 0 ? null : { index, 0: pattern };
  };
}
