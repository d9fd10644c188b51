/**
 * The engine's own code that a boot of the embedded guest needs, which is most of it: packages carry it, and static builds some of it. Its modules
 * are separate.
 */
import { createMachine } from '../src/api/machine.ts';
import { cachedCode } from '../src/host/node/engine-code.ts';
import { nodeHost } from '../src/host/node/host.ts';

/** Kept from build to build, for the sources as they are. */
const KEPT = cachedCode('.cache/boot-code', 'src');

export async function bootCode(): Promise<Uint8Array> {
  const kept = KEPT.read();
  if (kept !== undefined) return kept;
  let made: Uint8Array | undefined;
  const write = (content: Uint8Array): void => {
    made = content;
  };
  const engineCode = { read: () => undefined, write, separate: true };
  const machine = await createMachine({ ...nodeHost, engineCode }, { append: 'trapeze.poweroff', timeout: 300 });
  const { kind } = await machine.run();
  if (kind !== 'poweredOff' || made === undefined) throw new Error(`the boot that makes the engine's code: ${kind}`);
  KEPT.write(made);
  return made;
}
