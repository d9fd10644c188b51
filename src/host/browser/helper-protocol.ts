/** What a machine's worker and its helper, a second worker, say to each other. */
import type { PlacedSection } from '../../snapshot/section-index.ts';

/** A file that can be read at any place, as another thread can open it. */
export type FilePlace =
  | { readonly kind: 'chosen'; readonly blob: Blob }
  /** The state of the file is that which the machine's worker found. */
  | { readonly kind: 'remote'; readonly url: string; readonly size: number; readonly identity: string | undefined };

export type ToHelper =
  | { readonly kind: 'open'; readonly place: FilePlace }
  /** What there is to read, and the memory through which it comes. */
  | {
      readonly kind: 'sections';
      readonly sections: readonly PlacedSection[];
      readonly staging: SharedArrayBuffer;
      readonly slotBytes: number;
      readonly bell: Int32Array<SharedArrayBuffer>;
    }
  /** To be read by and by, in this order. */
  | { readonly kind: 'come'; readonly sections: readonly number[] }
  /** The guest waits for this one. */
  | { readonly kind: 'comeNow'; readonly section: number }
  /** The staging memory has room again. */
  | { readonly kind: 'taken' }
  | { readonly kind: 'deflate'; readonly id: number; readonly content: Uint8Array };

export type FromHelper =
  /** The first message: the script runs. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'opened' }
  | { readonly kind: 'failed'; readonly problem: Problem }
  /** Something is in the staging memory. */
  | { readonly kind: 'put' }
  /** All of the oldest `come` was put there. */
  | { readonly kind: 'came' }
  | { readonly kind: 'deflated'; readonly id: number; readonly bytes: Uint8Array<ArrayBuffer> };

/** `line`: for a person, when `expected`. */
export interface Problem {
  readonly line: string;
  readonly expected: boolean;
}

/** In place of the number of a section: the content is a `Problem`, as JSON. */
export const FAILED = -1;
