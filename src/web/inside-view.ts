/** The view of executed regions: guest code, IR and WebAssembly side by side. */
import type { BlockListing, Profile, ProfileRow } from '../api/profile.ts';
import { button, element } from './elements.ts';

/** What the view needs of the page. */
export interface Inside {
  /** Undefined: the machine does not count, or there is none. */
  profile(view: { readonly top: number; readonly entry?: string }): Promise<Profile | undefined> | undefined;
  /** Starts the machine anew, with counting. */
  restart(): void;
}

const SHOWN = 40;

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
const grouped = (n: number): string => n.toLocaleString('en-US');

export class InsideView {
  readonly #inside: Inside;
  readonly #place: HTMLElement;
  readonly #summary = element('p', { role: 'status' });
  readonly #rows = element('tbody');
  readonly #listing = element('div', { class: 'listing', tabindex: '0', role: 'region', 'aria-label': 'Code' });
  #picked: string | undefined;

  constructor(place: HTMLElement, inside: Inside) {
    this.#inside = inside;
    this.#place = place;
  }

  /** Shows what is hot now. */
  async refresh(): Promise<void> {
    const asked = this.#inside.profile({ top: SHOWN });
    if (asked === undefined) {
      this.#place.replaceChildren(...this.#withoutCounting());
      return;
    }
    if (!this.#place.contains(this.#summary)) this.#place.replaceChildren(...this.#frame());
    const profile = await asked.catch(() => undefined);
    if (profile === undefined) return;
    this.#summary.textContent = `${grouped(profile.instructions)} instructions: ${percent(profile.translated)} in ${grouped(profile.regions)} translated regions, ${percent(profile.interpreted)} interpreted`;
    this.#rows.replaceChildren(...profile.hottest.map((row) => this.#row(row)));
  }

  #withoutCounting(): readonly Node[] {
    return [
      element(
        'p',
        {},
        'Which guest code is hot, and what Trapeze has made of it. For that the machine counts how often each piece of translated code is executed, which has to be asked for at its start.',
      ),
      button('Restart the machine with counting', () => this.#inside.restart()),
    ];
  }

  #frame(): readonly Node[] {
    const heads = ['region', 'share', 'instructions', 'guest bytes', 'wasm bytes'];
    const head = element('tr', {}, ...heads.map((text) => element('th', { scope: 'col' }, text)));
    const table = element(
      'table',
      { class: 'regions' },
      element('caption', {}, 'Hottest regions of guest code'),
      element('thead', {}, head),
      this.#rows,
    );
    return [
      element(
        'div',
        { class: 'tools' },
        button('Refresh', () => void this.refresh()),
        this.#summary,
      ),
      element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Regions' }, table),
      this.#listing,
    ];
  }

  #row(row: ProfileRow): HTMLElement {
    const pick = button(row.linear, () => void this.#pick(row));
    pick.setAttribute('aria-label', `Show the code at ${row.linear}`);
    const cells = [percent(row.share), grouped(row.instructions), grouped(row.guestBytes), grouped(row.wasmBytes)];
    const current: Record<string, string> = row.physical === this.#picked ? { 'aria-current': 'true' } : {};
    const made = element('tr', current, element('td', {}, pick), ...cells.map((text) => element('td', {}, text)));
    made.dataset.region = row.physical;
    return made;
  }

  async #pick({ linear, physical }: ProfileRow): Promise<void> {
    this.#picked = physical;
    for (const row of this.#rows.querySelectorAll('tr')) {
      if (row.dataset.region === physical) row.setAttribute('aria-current', 'true');
      else row.removeAttribute('aria-current');
    }
    const profile = await this.#inside.profile({ top: 1, entry: physical })?.catch(() => undefined);
    const listing = profile?.hottest[0]?.listing;
    if (this.#picked !== physical) return;
    if (listing === undefined) this.#listing.replaceChildren(element('p', {}, 'This region is gone.'));
    else this.#listing.replaceChildren(codeTable(linear, listing));
    this.#listing.focus({ preventScroll: true });
  }
}

function codeTable(linear: string, blocks: readonly BlockListing[]): HTMLElement {
  const heads = ['guest', 'IR', 'WebAssembly'].map((text) => element('th', { scope: 'col' }, text));
  return element(
    'table',
    { class: 'code' },
    element('caption', {}, `The region at ${linear}`),
    element('thead', {}, element('tr', {}, ...heads)),
    element('tbody', {}, ...blocks.flatMap(blockRows)),
  );
}

function blockRows({ executions, instructions }: BlockListing): readonly HTMLElement[] {
  const head = element(
    'tr',
    { class: 'block' },
    element('td', { colspan: '3' }, `executed ${grouped(executions)} times`),
  );
  const look: Record<string, string> = executions === 0 ? { class: 'cold' } : {};
  const rows = instructions.map(({ address, bytes, guest, ir, wasm }) => {
    const cells = [`${address}\n${guest}\n${bytes}`, ir.join('\n'), wasm.join('\n')];
    return element('tr', look, ...cells.map((text) => element('td', {}, text)));
  });
  return [head, ...rows];
}
