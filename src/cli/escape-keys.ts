/** The keys that are for Trapeze and not for the guest: Ctrl-A and a letter. */

const CTRL_A = 0x01;

export type KeyAction =
  | { readonly kind: 'send'; readonly bytes: Uint8Array }
  | { readonly kind: 'leave' }
  | { readonly kind: 'help' }
  | { readonly kind: 'statistics' }
  | { readonly kind: 'powerButton' }
  | { readonly kind: 'save' };

export const KEYS_HELP = [
  'Ctrl-A X  leave: switch the machine off at once',
  'Ctrl-A P  press the power button',
  'Ctrl-A S  show statistics',
  'Ctrl-A W  write a snapshot, to the file of --save',
  'Ctrl-A A  send Ctrl-A to the guest (also Ctrl-A Ctrl-A)',
  'Ctrl-A H  this list',
] as const;

/** Splits typed bytes into what the guest gets and what Trapeze is asked for. A key may come in two pieces. */
export class EscapeKeys {
  #prefixed = false;

  feed(typed: Uint8Array): KeyAction[] {
    const actions: KeyAction[] = [];
    let pending: number[] = [];
    const flush = (): void => {
      if (pending.length > 0) actions.push({ kind: 'send', bytes: Uint8Array.from(pending) });
      pending = [];
    };
    for (const byte of typed) {
      if (!this.#prefixed) {
        if (byte === CTRL_A) this.#prefixed = true;
        else pending.push(byte);
        continue;
      }
      this.#prefixed = false;
      const action = command(byte);
      if (action === 'literal') pending.push(CTRL_A);
      else if (action !== undefined) {
        flush();
        actions.push(action);
      }
    }
    flush();
    return actions;
  }
}

function command(byte: number): KeyAction | 'literal' | undefined {
  if (byte === CTRL_A) return 'literal';
  switch (String.fromCharCode(byte).toLowerCase()) {
    case 'a':
      return 'literal';
    case 'x':
      return { kind: 'leave' };
    case 'p':
      return { kind: 'powerButton' };
    case 's':
      return { kind: 'statistics' };
    case 'w':
      return { kind: 'save' };
    case 'h':
    case '?':
      return { kind: 'help' };
    default:
      return undefined;
  }
}
