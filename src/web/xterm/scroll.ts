/**
 * The scroll bar of the terminal is the browser's own. xterm.js draws the lines that are seen into one element, which stays in sight here
 * while an element of the height of all lines scrolls; it takes this for VS Code's scroll bar (`scripts/web-xterm.ts`).
 */

/** Places that differ by less are the same: browsers round them to their pixels. */
const SAME = 1;

interface Listening {
  dispose(): void;
}
type Listener = (event: { readonly scrollTop: number }) => void;

/** What would smooth scrolling, which browsers do themselves. */
export class Scrollable {
  setSmoothScrollDuration(): void {}
  dispose(): void {}
}
export const ScrollbarVisibility = {};

export class SmoothScrollableElement {
  readonly #outer = document.createElement('div');
  readonly #all = document.createElement('div');
  readonly #listeners = new Set<Listener>();
  #height = 0;
  #allHeight = 0;
  /** Where the terminal is, and where the element was put. */
  #top = 0;
  #shownTop = 0;
  #frame: number | undefined;

  constructor(screen: HTMLElement) {
    this.#outer.className = 'xterm-scrollable-element';
    // Firefox would stop here with the Tab key.
    this.#outer.tabIndex = -1;
    // On the bar, where no text is selected.
    this.#outer.addEventListener('mousedown', (event) => {
      if (event.target === this.#outer) event.stopPropagation();
    });
    this.#all.append(screen);
    this.#outer.append(this.#all);
    this.#outer.addEventListener('scroll', () => this.#scrolled());
  }

  getDomNode(): HTMLElement {
    return this.#outer;
  }
  updateOptions(): void {}

  readonly onScroll = (listener: Listener): Listening => {
    this.#listeners.add(listener);
    return { dispose: () => this.#listeners.delete(listener) };
  };
  getScrollPosition(): { readonly scrollTop: number } {
    return { scrollTop: this.#top };
  }
  setScrollDimensions({ height, scrollHeight }: { height: number; scrollHeight: number }): void {
    this.#height = height;
    this.#allHeight = scrollHeight;
    this.setScrollPosition({ scrollTop: this.#top });
  }
  setScrollPosition({ scrollTop }: { scrollTop: number }): void {
    this.#showSoon();
    this.#moveTo(Math.max(0, Math.min(scrollTop, this.#allHeight - this.#height)));
  }
  #moveTo(top: number): void {
    if (top === this.#top) return;
    this.#top = top;
    for (const listener of this.#listeners) listener({ scrollTop: top });
  }

  /** Once for all lines that are printed between two frames: each look at the page's layout takes time. */
  #showSoon(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined;
      this.#outer.style.height = `${this.#height}px`;
      this.#all.style.height = `${this.#allHeight}px`;
      this.#outer.scrollTop = this.#top;
      this.#shownTop = this.#outer.scrollTop;
    });
  }

  /** By a person, or by us. */
  #scrolled(): void {
    const { scrollTop } = this.#outer;
    const by = scrollTop - this.#shownTop;
    if (Math.abs(by) < SAME) return;
    this.#shownTop = scrollTop;
    this.#moveTo(this.#frame === undefined ? scrollTop : this.#top + by);
  }

  dispose(): void {
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    this.#listeners.clear();
  }
}
