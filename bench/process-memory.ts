/**
 * Memory of a process beyond the guest RAM in it: resident memory (`VmRSS`) less the pages of guest RAM that are resident, sampled
 * through the run; the result is the largest sample.
 *
 * Guest RAM is found as the largest mapping that can hold it and is writable but not executable; it lies at the mapping's end (what else an engine keeps in the same
 * WebAssembly.Memory lies before it and counts as the engine's). Which of its pages are resident is in `/proc/PID/pagemap` (proc(5)).
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

const PAGE_SIZE = 4096;
const PAGEMAP_ENTRY = 8;
/** Bit 63 of an entry: the page is in RAM. As bit 7 of the entry's last byte. */
const PRESENT = 0x80;
const INTERVAL_MS = 50;

/** Start of guest RAM in the process's address space; undefined before there is any. */
function guestRamStart(maps: string, ramBytes: number): number | undefined {
  let found: { end: number; size: number } | undefined;
  for (const [, from, to] of maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw-/gm)) {
    const end = Number.parseInt(to, 16);
    const size = end - Number.parseInt(from, 16);
    if (size >= ramBytes && size > (found?.size ?? 0)) found = { end, size };
  }
  return found === undefined ? undefined : found.end - ramBytes;
}

function presentBytes(pid: number, start: number, bytes: number): number {
  const entries = Buffer.alloc((bytes / PAGE_SIZE) * PAGEMAP_ENTRY);
  const file = openSync(`/proc/${pid}/pagemap`, 'r');
  const read = readSync(file, entries, 0, entries.length, (start / PAGE_SIZE) * PAGEMAP_ENTRY);
  closeSync(file);
  let pages = 0;
  for (let at = PAGEMAP_ENTRY - 1; at < read; at += PAGEMAP_ENTRY) if (entries[at] & PRESENT) pages++;
  return pages * PAGE_SIZE;
}

/** Bytes beyond guest RAM now; undefined when the process has no guest RAM yet or any more. */
export function memoryBeyondRam(pid: number, ramBytes: number): number | undefined {
  try {
    const start = guestRamStart(readFileSync(`/proc/${pid}/maps`, 'utf8'), ramBytes);
    const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    if (start === undefined || resident === null) return undefined;
    return Number(resident[1]) * 1024 - presentBytes(pid, start, ramBytes);
  } catch {
    // The process has ended.
    return undefined;
  }
}

/** Samples a running process until `end`. */
export class MemoryWatch {
  readonly #pid: number;
  readonly #ramBytes: number;
  readonly #timer: NodeJS.Timeout;
  #largest: number | undefined;

  constructor(pid: number, ramBytes: number) {
    this.#pid = pid;
    this.#ramBytes = ramBytes;
    this.#timer = setInterval(() => this.sample(), INTERVAL_MS);
  }

  sample(): void {
    const bytes = memoryBeyondRam(this.#pid, this.#ramBytes);
    if (bytes !== undefined) this.#largest = Math.max(this.#largest ?? 0, bytes);
  }

  /** Stops sampling; the largest sample. */
  end(): number | undefined {
    clearInterval(this.#timer);
    return this.#largest;
  }
}
