/**
 * Hints of a module (`metadata.code.branch_hint`) in the form in which they are kept. The format's places in a function hardly ever repeat;
 * how far apart they are does, as the code does, so that what has these instead packs well.
 */
import { joined } from '../../joined.ts';
import { ByteWriter } from './encoder.ts';
import { ByteReader } from './text/byte-reader.ts';

export const HINT_SECTION = 'metadata.code.branch_hint';

const CUSTOM = 0;
const HEADER_BYTES = 8;

/** A function's hints, from one form to the other. */
type Convert = (from: ByteReader, to: ByteWriter, count: number) => void;

const toDistances: Convert = (from, to, count) => {
  let last = 0;
  for (let i = 0; i < count; i++) {
    const place = from.u32();
    // The hint's length, always 1.
    from.u32();
    to.u32(2 * (place - last) + from.u32());
    last = place;
  }
};
const toPlaces: Convert = (from, to, count) => {
  let place = 0;
  for (let i = 0; i < count; i++) {
    const hint = from.u32();
    place += hint >>> 1;
    to.u32(place);
    to.byte(1);
    to.byte(hint & 1);
  }
};

/** The module with its hints converted; itself where it has none. */
function converted(module: Uint8Array<ArrayBuffer>, convert: Convert): Uint8Array<ArrayBuffer> {
  const from = new ByteReader(module, HEADER_BYTES);
  while (!from.done) {
    const start = from.at;
    const id = from.byte();
    const end = from.u32() + from.at;
    if (id === CUSTOM && from.name() === HINT_SECTION) {
      const content = sectionOf(from, convert);
      const length = new ByteWriter();
      length.u32(content.length);
      return joined([module.subarray(0, start + 1), length.view(), content, module.subarray(end)]);
    }
    from.at = end;
  }
  return module;
}

/** From behind the section's name on. */
function sectionOf(from: ByteReader, convert: Convert): Uint8Array {
  const content = new ByteWriter(4096);
  content.name(HINT_SECTION);
  const functions = from.u32();
  content.u32(functions);
  for (let i = 0; i < functions; i++) {
    content.u32(from.u32());
    const count = from.u32();
    content.u32(count);
    convert(from, content, count);
  }
  return content.view();
}

export const packHints = (module: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => converted(module, toDistances);
/** What `packHints` was given. */
export const unpackHints = (packed: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => converted(packed, toPlaces);
