/**
 * A timeline as a file for ui.perfetto.dev, in the JSON trace-event format. What is written so far always ends as JSON must, so that the
 * file can be opened however the run ended.
 */
import { closeSync, fstatSync, ftruncateSync, writeSync } from 'node:fs';
import type { TimelineEvent } from '../api/timeline.ts';
import { outputProblem } from '../host/node/file-problem.ts';
import { openForWriting } from './output-file.ts';

const HEAD =
  '{"displayTimeUnit":"ns","traceEvents":[\n{"ph":"M","pid":1,"name":"process_name","args":{"name":"trapeze"}}';
const TAIL = '\n]}\n';
/** Characters collected before they are written. */
const BATCH = 65_536;
const NS_PER_US = 1000;

export class PerfettoFile {
  readonly #path: string;
  readonly #file: number;
  readonly #report: (line: string) => void;
  /** A place in the file can be written anew; not in a pipe. */
  readonly #rewritable: boolean;
  readonly #tracks = new Map<string, number>();
  #text = HEAD;
  /** Where the tail stands. */
  #position = 0;
  #failed = false;

  /** `report` gets a line, at most once, when the file takes no more. @throws UserError when it cannot be opened. */
  constructor(path: string, report: (line: string) => void) {
    this.#path = path;
    this.#file = openForWriting(path);
    this.#rewritable = fstatSync(this.#file).isFile();
    this.#report = report;
  }

  add(events: readonly TimelineEvent[]): void {
    if (this.#failed) return;
    for (const event of events) this.#text += `,\n${this.#line(event)}`;
    if (this.#text.length >= BATCH) this.#write(false);
  }

  close(): void {
    if (!this.#failed) this.#write(true);
    closeSync(this.#file);
  }

  #line({ track, name, startNs, endNs, details }: TimelineEvent): string {
    const [tid, newTrack] = this.#trackOf(track);
    const at = { pid: 1, tid, ts: startNs / NS_PER_US };
    const what = endNs === undefined ? { ph: 'i', s: 't' } : { ph: 'X', dur: (endNs - startNs) / NS_PER_US };
    return newTrack + JSON.stringify({ name, ...what, ...at, args: details });
  }

  /** The number of a track, and what introduces it where it is new. */
  #trackOf(track: string): [tid: number, introduction: string] {
    const known = this.#tracks.get(track);
    if (known !== undefined) return [known, ''];
    const tid = this.#tracks.size + 1;
    this.#tracks.set(track, tid);
    const about = (name: string, args: object): string => `${JSON.stringify({ ph: 'M', pid: 1, tid, name, args })},\n`;
    return [tid, about('thread_name', { name: track }) + about('thread_sort_index', { sort_index: tid })];
  }

  #write(last: boolean): void {
    const text = this.#text;
    this.#text = '';
    try {
      this.#put(last || this.#rewritable ? text + TAIL : text);
      this.#position += Buffer.byteLength(text);
    } catch (error) {
      this.#failed = true;
      this.#report(`trapeze: ${outputProblem(this.#path, error).message}; the timeline ends here`);
      this.#mend();
    }
  }

  #put(text: string): void {
    const bytes = Buffer.from(text);
    for (let done = 0; done < bytes.length; ) {
      const at = this.#rewritable ? this.#position + done : null;
      done += writeSync(this.#file, bytes, done, bytes.length - done, at);
    }
  }

  /** Takes back what was written in part. Where the disk is full there is room for the tail: it stood there before. */
  #mend(): void {
    if (!this.#rewritable || this.#position === 0) return;
    ftruncateSync(this.#file, this.#position);
    this.#put(TAIL);
  }
}
