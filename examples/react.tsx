/**
 * A machine in a React application: `GuestTerminal` shows its terminal, and a button that runs a command in it.
 *
 * The element brings its worker and the embedded Linux from the folder `base`: `npx trapeze web --output public/trapeze` writes it.
 */
import type { DetailedHTMLProps, HTMLAttributes } from 'react';
import { useCallback, useEffect, useRef, useState } from 'react';
import type { TrapezeVm, VmState } from 'trapeze/web';

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'trapeze-vm': DetailedHTMLProps<HTMLAttributes<TrapezeVm>, TrapezeVm> & {
        base?: string;
        memory?: string;
        disk?: string;
        autostart?: boolean;
      };
    }
  }
}

export function GuestTerminal({ memory = '256M' }: { readonly memory?: string }) {
  const vm = useRef<TrapezeVm>(null);
  const [state, setState] = useState<VmState>('off');
  const [kernel, setKernel] = useState('');

  // In the browser alone: a server has no custom elements.
  useEffect(() => void import('trapeze/web'), []);

  useEffect(() => {
    const element = vm.current;
    const changed = (): void => setState(element?.state ?? 'off');
    element?.addEventListener('statechange', changed);
    return () => element?.removeEventListener('statechange', changed);
  }, []);

  const ask = useCallback(async () => {
    const result = await vm.current?.exec('uname -r');
    setKernel(result?.output.trim() ?? '');
  }, []);

  return (
    <section>
      <trapeze-vm ref={vm} base="/trapeze/" memory={memory} autostart />
      <button type="button" disabled={state !== 'running'} onClick={ask}>
        Which kernel?
      </button>
      <output>{kernel}</output>
    </section>
  );
}
