/** Code that a host keeps from one machine to the next: the engine's own, and regions of guests. */
import { CodeStore } from '../engine/wasm/code-store.ts';
import { KeptRegions } from '../engine/wasm/kept-regions.ts';
import type { Host } from './host.ts';

export interface KeptCode {
  readonly store: CodeStore;
  readonly kept: KeptRegions | undefined;
}

export function openCode({ engineCode }: Host): KeptCode {
  const content = engineCode?.read();
  const regions = engineCode?.regions;
  return {
    store: content === undefined ? new CodeStore() : CodeStore.from(content),
    kept: regions === undefined ? undefined : new KeptRegions(() => regions.open(), regions.mostBytes),
  };
}

/** A machine runs, on a host where it may end without a word. Returns what ends this. */
export function keepNowAndThen({ engineCode, time }: Host, { kept }: KeptCode): () => void {
  const regions = engineCode?.regions;
  const everyMs = regions?.everyMs;
  let cancel = (): void => {};
  if (kept === undefined || everyMs === undefined) return cancel;
  const wait = (): void => {
    cancel = time.setTimer(everyMs, () => {
      if (kept.changed) void regions?.write(kept.content());
      wait();
    });
  };
  wait();
  return () => cancel();
}

/** A machine has ended: what it made is there for the next one. */
export async function keepCode({ engineCode }: Host, { store, kept }: KeptCode): Promise<void> {
  if (store.changed) engineCode?.write(store.content(!engineCode.separate));
  if (kept?.changed) await engineCode?.regions?.write(kept.content());
  kept?.close();
}
