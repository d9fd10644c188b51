/** What the attributes of `<trapeze-vm>` say. */
import { UserError } from '../user-error.ts';
import type { DiskSource, VmOptions } from './protocol.ts';

/** `name`: the attribute; relative addresses are meant from the page. */
export type AttributeReader = (name: string) => string | null;

export function optionsFrom(attribute: AttributeReader, page: string): VmOptions {
  const url = (name: string): string | undefined => {
    const text = attribute(name);
    return text === null || text === '' ? undefined : absolute(name, text, page);
  };
  const words = (name: string): string[] => (attribute(name) ?? '').split(/\s+/).filter((word) => word !== '');
  const images = words('image').map((word) => absolute('image', word, page));
  return {
    image: images.length === 0 ? undefined : images,
    kernel: url('kernel'),
    initrd: url('initrd'),
    snapshot: url('snapshot'),
    snapshotBase: url('snapshot-base'),
    load: choice(attribute('load')),
    append: attribute('append') ?? undefined,
    memory: attribute('memory') ?? undefined,
    disks: words('disk').map((word) => diskFrom(word, page)),
    profile: attribute('profile') !== null,
  };
}

function choice(load: string | null): VmOptions['load'] {
  if (load === null || load === '') return undefined;
  if (load === 'demand' || load === 'whole') return load;
  throw new UserError(`load="${load}": choose demand or whole`);
}

/** An address with `,ro`, `,cow`, `,overlay=NAME` or `,cache=NAME` behind it, as `trapeze run --disk` takes them. */
function diskFrom(word: string, page: string): DiskSource {
  const match = /^(.*),(?:(ro|cow)|(overlay|cache)=([^,]+))$/.exec(word);
  if (match === null) return { image: absolute('disk', word, page) };
  const [, rest, mode, name, value] = match;
  const found = name === undefined ? { mode: mode as DiskSource['mode'] } : { [name]: value };
  return { ...found, ...diskFrom(rest!, page) };
}

function absolute(name: string, address: string, page: string): string {
  try {
    return new URL(address, page).href;
  } catch {
    throw new UserError(`${name}="${address}" is not an address: give a URL`);
  }
}
