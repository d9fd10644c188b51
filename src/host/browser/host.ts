/** A browser's worker as the place where machines run. */
import type { EmbeddedGuest, EngineCode, Host } from '../../api/host.ts';
import { UserError } from '../../user-error.ts';
import { randomFill } from '../random.ts';
import { type Asset, type Assets, ENGINE_SECTION } from './assets.ts';
import { download, type ProgressListener, unpacked } from './download.ts';
import { keptRegions } from './kept-regions.ts';
import { openPacker } from './packer.ts';
import { browserTime } from './time.ts';

export interface BrowserPlace {
  readonly assets: Assets;
  /** The address of the folder that has them. */
  readonly base: string;
  readonly progress: ProgressListener;
  /** The embedded guest will be asked for: its fetching begins at once. */
  readonly embedded: boolean;
  /** What the machine waits for before it goes on, if anything. */
  readonly hold: () => Promise<void> | undefined;
}

/** Rejects with a UserError when a part of the static build is missing. */
export async function browserHost(place: BrowserPlace): Promise<Host> {
  const guest = place.embedded ? embeddedGuest(place) : undefined;
  // Who asks for it hears of its failure; until then nobody may.
  guest?.catch(() => {});
  return {
    time: browserTime(place.hold),
    randomFill,
    engineCode: await storedCode(place),
    packer: () => openPacker(place.base),
    embeddedGuest: () => guest ?? embeddedGuest(place),
    readFile: (path) => download({ url: path, name: path }, place.progress),
    async openDisk(path, mode, report, extras) {
      if (mode === 'rw') throw new UserError(`disk ${path}: a server's file cannot be written: choose ro or cow`);
      const { openImageDisk } = await import('./disks.ts');
      return openImageDisk({ name: path }, mode, report, extras);
    },
  };
}

const urlOf = ({ base }: BrowserPlace, { file }: Asset): string => new URL(file, base).href;

async function storedCode(place: BrowserPlace): Promise<EngineCode> {
  const { engineCode, sources } = place.assets;
  const regions = keptRegions(new URL('code-of-guests-', place.base).href, sources);
  const what = { url: urlOf(place, engineCode), name: 'the engine', size: engineCode.size };
  const file = await download(what, () => {});
  const module = await WebAssembly.compile(file as Uint8Array<ArrayBuffer>);
  const [section] = WebAssembly.Module.customSections(module, ENGINE_SECTION);
  const content = new Uint8Array(section!);
  return { read: () => content, write: () => {}, regions: await regions };
}

async function embeddedGuest(place: BrowserPlace): Promise<EmbeddedGuest> {
  const { kernel, initrd } = place.assets.guest;
  const total = kernel.size + initrd.size;
  const loaded = { kernel: 0, initrd: 0 };
  const fetched = (part: 'kernel' | 'initrd', asset: Asset): Promise<Uint8Array> =>
    download({ url: urlOf(place, asset), name: 'the embedded Linux', size: asset.size }, (progress) => {
      loaded[part] = progress.loaded;
      place.progress({ name: progress.name, loaded: loaded.kernel + loaded.initrd, total });
    });
  const [kernelBytes, packed] = await Promise.all([fetched('kernel', kernel), fetched('initrd', initrd)]);
  return { kernel: kernelBytes, initrd: await unpacked(packed), append: 'quiet' };
}
