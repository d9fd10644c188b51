/** The guest's console as a person sees it. */
import { FitAddon } from '@xterm/addon-fit';
import { type ITheme, Terminal } from '@xterm/xterm';
import type { TerminalSize } from '../api/options.ts';

/** Contrast of at least 4.5 to 1 for every colour but black on dark and white on light. */
const DARK: ITheme = {
  background: '#14171c',
  foreground: '#e6e9ee',
  cursor: '#7fc8ff',
  selectionBackground: '#35506b',
  blue: '#6fa8ff',
  brightBlack: '#8b95a5',
};
const LIGHT: ITheme = {
  background: '#ffffff',
  foreground: '#1c2128',
  cursor: '#0b62c4',
  selectionBackground: '#bcd9f7',
  black: '#1c2128',
  red: '#b3261e',
  green: '#1b6e2e',
  yellow: '#7a5900',
  blue: '#0b57d0',
  magenta: '#8a2a94',
  cyan: '#00677f',
  white: '#5b6470',
  brightBlack: '#5b6470',
  brightRed: '#b3261e',
  brightGreen: '#1b6e2e',
  brightYellow: '#7a5900',
  brightBlue: '#0b57d0',
  brightMagenta: '#8a2a94',
  brightCyan: '#00677f',
  brightWhite: '#1c2128',
};

const FONT = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
const NARROW = 480;

export interface TerminalListener {
  typed(text: string): void;
  typedBytes(bytes: Uint8Array): void;
  resized(size: TerminalSize): void;
  /** A person wants the keyboard back. */
  left(): void;
}

export class TerminalView {
  readonly #terminal: Terminal;
  readonly #fit = new FitAddon();
  readonly #place: HTMLElement;
  readonly #observer: ResizeObserver;

  constructor(place: HTMLElement, listener: TerminalListener) {
    this.#place = place;
    this.#terminal = new Terminal({
      fontFamily: FONT,
      fontSize: fontSize(place),
      lineHeight: LINE_HEIGHT,
      scrollback: 5000,
      cursorBlink: !matchMedia('(prefers-reduced-motion: reduce)').matches,
      minimumContrastRatio: 4.5,
    });
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.open(place);
    this.#terminal.onData((text) => listener.typed(text));
    this.#terminal.onBinary((text) => listener.typedBytes(Uint8Array.from(text, (c) => c.charCodeAt(0))));
    this.#terminal.onResize(({ cols, rows }) => listener.resized({ columns: cols, rows }));
    this.#terminal.attachCustomKeyEventHandler((event) => this.#takesKey(event, listener));
    this.#observer = new ResizeObserver(() => this.#refit());
    this.#observer.observe(place);
    this.#refit();
  }

  get size(): TerminalSize {
    return { columns: this.#terminal.cols, rows: this.#terminal.rows };
  }

  set dark(dark: boolean) {
    this.#terminal.options.theme = dark ? DARK : LIGHT;
  }

  set screenReader(on: boolean) {
    this.#terminal.options.screenReaderMode = on;
  }

  /** Calls `shown` when the terminal has taken the bytes in. */
  print(bytes: Uint8Array | string, shown?: () => void): void {
    this.#terminal.write(bytes, shown);
  }

  /** A line that is not the guest's. */
  note(line: string): void {
    this.#terminal.write(`\r\n\x1b[7m ${line.replaceAll(/\p{Cc}/gu, ' ')} \x1b[0m\r\n`);
  }

  /** In its turn behind what was printed before. */
  clear(): void {
    this.#terminal.write('\x1bc\x1b[3J');
  }

  focus(): void {
    this.#terminal.focus();
  }

  dispose(): void {
    this.#observer.disconnect();
    this.#terminal.dispose();
  }

  /** Tab belongs to the guest, so that another key must lead out. */
  #takesKey(event: KeyboardEvent, listener: TerminalListener): boolean {
    if (event.key === 'Escape' && event.shiftKey) {
      if (event.type === 'keydown') listener.left();
      return false;
    }
    // As in terminals of desktops; Ctrl-C alone is the guest's.
    if (event.type === 'keydown' && event.ctrlKey && event.shiftKey && event.code === 'KeyC') {
      void navigator.clipboard?.writeText(this.#terminal.getSelection());
      event.preventDefault();
      return false;
    }
    return true;
  }

  #refit(): void {
    if (this.#place.clientWidth === 0 || this.#place.clientHeight === 0) return;
    this.#terminal.options.fontSize = fontSize(this.#place);
    this.#fit.fit();
  }
}

/** Of the font's height: some fonts draw the underscore below that, where a row ends. */
const LINE_HEIGHT = 1.15;
const fontSize = (place: HTMLElement): number => (place.clientWidth < NARROW ? 12 : 14);
