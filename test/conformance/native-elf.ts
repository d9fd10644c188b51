/** A static ELF executable out of machine code, for x86-64 Linux. */

export interface ElfSegment {
  readonly address: number;
  /** Bytes in memory; beyond `bytes` they are zero. */
  readonly size: number;
  readonly bytes?: Uint8Array;
  readonly executable: boolean;
}

const HEADER_SIZE = 64;
const PROGRAM_HEADER_SIZE = 56;
const ALIGNMENT = 0x1000;
const ET_EXEC = 2;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PF_X = 1;
const PF_W = 2;
const PF_R = 4;

function writeHeader(view: DataView, entry: number, segments: number): void {
  new Uint8Array(view.buffer).set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, ET_EXEC, true);
  view.setUint16(18, EM_X86_64, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(entry), true);
  view.setBigUint64(32, BigInt(HEADER_SIZE), true);
  view.setUint16(52, HEADER_SIZE, true);
  view.setUint16(54, PROGRAM_HEADER_SIZE, true);
  view.setUint16(56, segments, true);
}

function writeSegment(view: DataView, at: number, segment: ElfSegment, fileOffset: number): void {
  view.setUint32(at, PT_LOAD, true);
  view.setUint32(at + 4, PF_R | PF_W | (segment.executable ? PF_X : 0), true);
  view.setBigUint64(at + 8, BigInt(fileOffset), true);
  view.setBigUint64(at + 16, BigInt(segment.address), true);
  view.setBigUint64(at + 24, BigInt(segment.address), true);
  view.setBigUint64(at + 32, BigInt(segment.bytes?.length ?? 0), true);
  view.setBigUint64(at + 40, BigInt(segment.size), true);
  view.setBigUint64(at + 48, BigInt(ALIGNMENT), true);
}

/** `segments` in ascending order, on page boundaries. */
export function elfImage(entry: number, segments: readonly ElfSegment[]): Uint8Array {
  let end = ALIGNMENT;
  const offsets = segments.map(({ bytes }) => {
    const at = end;
    end += Math.ceil((bytes?.length ?? 0) / ALIGNMENT) * ALIGNMENT;
    return at;
  });
  const image = new Uint8Array(end);
  const view = new DataView(image.buffer);
  writeHeader(view, entry, segments.length);
  for (const [i, segment] of segments.entries()) {
    writeSegment(view, HEADER_SIZE + i * PROGRAM_HEADER_SIZE, segment, offsets[i]);
    image.set(segment.bytes ?? [], offsets[i]);
  }
  return image;
}
