/** A file of kept regions in memory. */
import { type KeptBytes, KeptRegions } from '../../src/engine/wasm/kept-regions.ts';

const opened = (content: Uint8Array): KeptBytes => ({
  read(at, length) {
    if (at + length > content.length) throw new Error('cut off');
    return content.slice(at, at + length);
  },
  close: () => {},
});

/** What a run finds that begins with some content. */
export const keptIn = (content?: Uint8Array): KeptRegions =>
  new KeptRegions(() => (content === undefined ? undefined : opened(content)));
