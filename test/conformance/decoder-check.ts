/** The decoder and disassembler against iced-x86 over random and damaged byte strings. */

import { disassemble } from '../../src/isa/x86/disassemble.ts';
import type { CodeSize } from '../../src/isa/x86/prefixes.ts';
import { STRING_LENGTH, writeString } from './byte-strings.ts';
import { acceptedText } from './iced-deviations.ts';
import { type Oracle, oracle, oracleCodes } from './iced-oracle.ts';
import { Random } from './random.ts';

export interface Difference {
  readonly mode: CodeSize;
  readonly bytes: string;
  readonly ours: string;
  readonly theirs: string;
  /** Iced's name of the encoding, or `INVALID`. */
  readonly code: string;
}

export interface DecoderReport {
  readonly strings: number;
  readonly valid: number;
  readonly differences: readonly Difference[];
  /** How many differences there were; few are kept of each encoding. */
  readonly differing: number;
  /** Encodings of the oracle that were never met as the same instruction. */
  readonly unseen: readonly string[];
}

const MODES = [16, 32, 64] as const;
const BATCH = 3000;
const KEPT_OF_EACH = 1;
const ADDRESS = 0x1000n;

const show = (length: number, text: string): string => `${length}: ${text}`;

class Check {
  readonly #seen = new Set<string>();
  readonly #kept = new Map<string, Difference[]>();
  #valid = 0;
  #differing = 0;
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  batch(count: number, mode: CodeSize): void {
    const buffer = new Uint8Array(count * STRING_LENGTH);
    for (let i = 0; i < count; i++)
      writeString(this.#random, buffer.subarray(i * STRING_LENGTH, (i + 1) * STRING_LENGTH));
    let at = 0;
    for (const theirs of oracle(buffer, mode, ADDRESS)) {
      this.#compare(buffer.subarray(at, at + STRING_LENGTH), mode, theirs);
      at += STRING_LENGTH;
    }
  }

  #compare(bytes: Uint8Array, mode: CodeSize, theirs: Oracle | undefined): void {
    const ours = disassemble(bytes, mode, ADDRESS);
    const isValid = ours.text !== '(bad)';
    if (isValid) this.#valid++;
    const expected = theirs === undefined ? '(bad)' : acceptedText(theirs, mode, ours.text);
    if (expected === ours.text && (!isValid || ours.length === theirs?.length)) {
      if (isValid) this.#seen.add(theirs!.code);
      return;
    }
    this.#differing++;
    const code = theirs?.code ?? 'INVALID';
    const key = theirs === undefined ? `INVALID ${ours.text.split(' ')[0]}` : code;
    const kept = this.#kept.get(key) ?? [];
    this.#kept.set(key, kept);
    if (kept.length >= KEPT_OF_EACH) return;
    kept.push({
      mode,
      bytes: Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(' '),
      ours: show(ours.length, ours.text),
      theirs: theirs === undefined ? expected : show(theirs.length, expected),
      code,
    });
  }

  report(strings: number): DecoderReport {
    return {
      strings,
      valid: this.#valid,
      differences: [...this.#kept.values()].flat(),
      differing: this.#differing,
      unseen: oracleCodes().filter((code) => !this.#seen.has(code)),
    };
  }
}

/** `progress` is called now and then with the number of strings done. */
export function checkDecoder(count: number, seed: number, progress: (done: number) => void = () => {}): DecoderReport {
  const check = new Check(seed);
  for (let done = 0, batch = 0; done < count; done += BATCH, batch++) {
    check.batch(Math.min(BATCH, count - done), MODES[batch % MODES.length]);
    progress(done);
  }
  return check.report(count);
}

export function formatDifference(d: Difference): string {
  return `${d.mode}-bit ${d.bytes}  ${d.code}\n    ours ${d.ours}\n    iced ${d.theirs}`;
}
