/** What a guest of v86 prints on its serial port, a byte at a time, and whether it has come to its end. */

/** The kernel's last words: v86 has no power switch that would end the process. */
const LAST_WORDS = /reboot: (?:Power down|System halted)|Kernel panic - not syncing/;

/** Longer than any of the last words. */
const TAIL = 64;

export class V86Console {
  readonly #decoder = new TextDecoder();
  #tail = '';
  #ended = false;

  /** True from the end of the line in which the kernel said its last words. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Takes a byte; returns the text that it completes. */
  take(byte: number): string {
    const text = this.#decoder.decode(Uint8Array.of(byte), { stream: true });
    this.#tail = (this.#tail + text).slice(-TAIL);
    if (text.includes('\n')) {
      this.#ended ||= LAST_WORDS.test(this.#tail);
      this.#tail = '';
    }
    return text;
  }
}
