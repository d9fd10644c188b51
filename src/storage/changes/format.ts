/**
 * The file of a persistent overlay: what it is made of, as bytes. docs/disks.md describes the format.
 *
 * All numbers are little-endian. What is written in several sectors has a hash, so that half of it counts as nothing.
 */
import { fromHex, toHex } from '../../hex.ts';

export const SECTOR = 512;
/** The unit of allocation: 128 sectors of the disk, or 16 pages of the log. */
export const CHUNK = 65_536;
export const CHUNK_SECTORS = CHUNK / SECTOR;
export const PAGE = 4096;
export const HASH_BYTES = 32;

export type Sha256 = (bytes: Uint8Array) => Promise<Uint8Array>;

const MAGIC = 'TRZCHNG1';
/** In its place while changes that were saved elsewhere are put into the file. */
const FILLING_MAGIC = 'TRZFILL1';
/** Two places for the header, used in turn: one page each, of which the header is the first sector. */
export const headerAt = (sequence: number): number => (sequence % 2) * PAGE;

const SEQUENCE = 8;
const BASE_SIZE = 16;
const LOG_START = 24;
const BASE_LENGTH = 32;
const BASE_TEXT = 34;
const HEADER_HASH = SECTOR - HASH_BYTES;
const MARK_BYTES = 16;
const MARK = HEADER_HASH - MARK_BYTES;
/** Characters of what may be said of the base: as UTF-8 they have room in the header. */
export const BASE_TEXT_LENGTH = Math.floor((MARK - BASE_TEXT) / 3);

export interface Header {
  /** The larger one of two counts. */
  readonly sequence: number;
  readonly baseSize: number;
  /** Where the first page of the log is. */
  readonly logStart: number;
  /** What tells one state of the base from another. */
  readonly base: string;
  /** Names the content, 32 hexadecimal digits, until it changes; undefined: nobody has asked for a name. */
  readonly mark: string | undefined;
  /** Changes that were saved elsewhere are being put into the file: some may be missing. */
  readonly filling: boolean;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
const getNumber = (view: DataView, at: number): number => Number(view.getBigUint64(at, true));
const setNumber = (view: DataView, at: number, value: number): void => view.setBigUint64(at, BigInt(value), true);

async function isHashed(bytes: Uint8Array, at: number, sha256: Sha256): Promise<boolean> {
  const hash = await sha256(bytes.subarray(0, at));
  return hash.every((byte, i) => byte === bytes[at + i]);
}

export async function encodeHeader(
  { sequence, baseSize, logStart, base, mark, filling }: Header,
  sha256: Sha256,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(SECTOR);
  const view = viewOf(bytes);
  const text = new TextEncoder().encode(base);
  bytes.set(new TextEncoder().encode(filling ? FILLING_MAGIC : MAGIC));
  setNumber(view, SEQUENCE, sequence);
  setNumber(view, BASE_SIZE, baseSize);
  setNumber(view, LOG_START, logStart);
  view.setUint16(BASE_LENGTH, text.length, true);
  bytes.set(text, BASE_TEXT);
  if (mark !== undefined) bytes.set(fromHex(mark)!, MARK);
  bytes.set(await sha256(bytes.subarray(0, HEADER_HASH)), HEADER_HASH);
  return bytes;
}

/** Undefined for what is no whole header. */
export async function decodeHeader(bytes: Uint8Array, sha256: Sha256): Promise<Header | undefined> {
  const magic = new TextDecoder().decode(bytes.subarray(0, MAGIC.length));
  const filling = magic === FILLING_MAGIC;
  if ((magic !== MAGIC && !filling) || !(await isHashed(bytes, HEADER_HASH, sha256))) return undefined;
  const view = viewOf(bytes);
  const length = view.getUint16(BASE_LENGTH, true);
  const mark = bytes.subarray(MARK, HEADER_HASH);
  return {
    sequence: getNumber(view, SEQUENCE),
    baseSize: getNumber(view, BASE_SIZE),
    logStart: getNumber(view, LOG_START),
    base: new TextDecoder().decode(bytes.subarray(BASE_TEXT, Math.min(BASE_TEXT + length, MARK))),
    mark: mark.some((byte) => byte !== 0) ? toHex(mark) : undefined,
    filling,
  };
}

/** Where 128 sectors of the disk are. */
export interface Cluster {
  /** The number of the chunk of this file that holds those written; 0: none does. */
  chunk: number;
  /** For each sector where its content is; see `sector-map.ts`. */
  readonly states: Uint8Array;
}

/** What is known of a cluster from this record on. */
export interface LogRecord extends Readonly<Cluster> {
  readonly cluster: number;
}

const PAGE_MAGIC = 0x4c_5a_52_54;
const COUNT = 4;
const SESSION = 8;
const NEXT = 16;
const PREVIOUS = 24;
const RECORDS = PREVIOUS + HASH_BYTES;
const STATES = 8;
const RECORD_BYTES = STATES + CHUNK_SECTORS / 4;
const PAGE_HASH = PAGE - HASH_BYTES;
export const PAGE_RECORDS = Math.floor((PAGE_HASH - RECORDS) / RECORD_BYTES);

export interface LogPage {
  /** The header's sequence when it was written. */
  readonly session: number;
  /** Where the next page will be. */
  readonly next: number;
  /** The hash of the page before; zeros in the first. */
  readonly previous: Uint8Array;
  readonly records: readonly LogRecord[];
}

export async function encodePage({ session, next, previous, records }: LogPage, sha256: Sha256): Promise<Uint8Array> {
  const bytes = new Uint8Array(PAGE);
  const view = viewOf(bytes);
  view.setUint32(0, PAGE_MAGIC, true);
  view.setUint32(COUNT, records.length, true);
  setNumber(view, SESSION, session);
  setNumber(view, NEXT, next);
  bytes.set(previous, PREVIOUS);
  for (const [i, { cluster, chunk, states }] of records.entries()) {
    const at = RECORDS + i * RECORD_BYTES;
    view.setUint32(at, cluster, true);
    view.setUint32(at + 4, chunk, true);
    for (const [sector, state] of states.entries()) bytes[at + STATES + (sector >>> 2)]! |= state << (2 * (sector & 3));
  }
  bytes.set(await sha256(bytes.subarray(0, PAGE_HASH)), PAGE_HASH);
  return bytes;
}

/** The hash of a page as it is written. */
export const pageHash = (bytes: Uint8Array): Uint8Array => bytes.slice(PAGE_HASH);

/** Undefined for what is no whole page. */
export async function decodePage(bytes: Uint8Array, sha256: Sha256): Promise<LogPage | undefined> {
  const view = viewOf(bytes);
  const count = view.getUint32(COUNT, true);
  if (view.getUint32(0, true) !== PAGE_MAGIC || count > PAGE_RECORDS) return undefined;
  if (!(await isHashed(bytes, PAGE_HASH, sha256))) return undefined;
  const records = Array.from({ length: count }, (_, i): LogRecord => {
    const at = RECORDS + i * RECORD_BYTES;
    const states = Uint8Array.from(
      { length: CHUNK_SECTORS },
      (_, sector) => (bytes[at + STATES + (sector >>> 2)]! >>> (2 * (sector & 3))) & 3,
    );
    return { cluster: view.getUint32(at, true), chunk: view.getUint32(at + 4, true), states };
  });
  return {
    session: getNumber(view, SESSION),
    next: getNumber(view, NEXT),
    previous: bytes.slice(PREVIOUS, RECORDS),
    records,
  };
}
