/** Compressing in the helper, so that the machine's worker has time for the guest. */
import type { Packer } from '../../api/host.ts';
import { HelperWorker } from './helper-worker.ts';

/** Undefined: there can be no second worker. */
export async function openPacker(base: string): Promise<Packer | undefined> {
  const helper = await HelperWorker.start(base);
  if (helper === undefined) return undefined;
  const waiting = new Map<number, (bytes: Uint8Array<ArrayBuffer>) => void>();
  let asked = 0;
  helper.listen((message) => {
    if (message.kind !== 'deflated') return;
    waiting.get(message.id)?.(message.bytes);
    waiting.delete(message.id);
  });
  return {
    deflate(content) {
      const id = asked++;
      helper.post({ kind: 'deflate', id, content });
      return new Promise((resolve) => waiting.set(id, resolve));
    },
    end: () => helper.end(),
  };
}
