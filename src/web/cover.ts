/** What lies over the terminal while no guest uses it: a button, a download's progress, or what went wrong. */
import type { Progress } from '../host/browser/download.ts';

const MB = 1e6;

export class Cover {
  readonly element = document.createElement('div');
  readonly #text = document.createElement('p');
  readonly #bar = document.createElement('progress');
  readonly #button = document.createElement('button');

  constructor(start: () => void) {
    this.element.className = 'cover';
    this.#text.setAttribute('role', 'status');
    this.#bar.setAttribute('aria-label', 'Download');
    this.#button.type = 'button';
    this.#button.addEventListener('click', start);
    this.element.append(this.#text, this.#bar, this.#button);
    this.#show('', { button: 'Start the machine' });
  }

  focus(options?: FocusOptions): void {
    this.#button.focus(options);
  }

  hide(): void {
    this.element.hidden = true;
  }

  loading(): void {
    this.#bar.removeAttribute('value');
    this.#show('Preparing the machine…', { bar: true });
  }

  progress({ name, loaded, total }: Progress): void {
    const shown = (bytes: number): string => (bytes / MB).toFixed(1);
    const whole = total === undefined ? '' : ` of ${shown(total)}`;
    this.#bar.max = total ?? 1;
    if (total === undefined) this.#bar.removeAttribute('value');
    else this.#bar.value = loaded;
    this.#show(`Fetching ${name}: ${shown(loaded)}${whole} MB`, { bar: true });
  }

  failed(line: string): void {
    this.#show(line, { button: 'Try again' });
  }

  #show(text: string, { bar = false, button }: { readonly bar?: boolean; readonly button?: string }): void {
    this.element.hidden = false;
    this.#text.textContent = text;
    this.#bar.hidden = !bar;
    this.#button.hidden = button === undefined;
    this.#button.textContent = button ?? '';
  }
}
