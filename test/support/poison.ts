/** Makes sure that nobody sees memory that has not come. */
import { ABSENT_PAGES, PAGE_FLAG, PAGE_FLAGS_BASE, PAGE_SIZE, RAM_BASE } from '../../src/engine/layout.ts';

/** What no guest gets far with: INT3 as code, no address as a pointer. */
const POISON = 0xcc;

/** Makes a machine by `make`, and fills with poison what it does not have yet of its memory; how many pages that are. */
export async function poisoned<T>(make: () => Promise<T>): Promise<{ readonly made: T; readonly pages: number }> {
  const { Memory } = WebAssembly;
  const memories: WebAssembly.Memory[] = [];
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor: ConstructorParameters<typeof Memory>[0]) {
      super(descriptor);
      memories.push(this);
    }
  };
  try {
    const made = await make();
    let pages = 0;
    for (const { buffer } of memories) pages += poison(buffer);
    return { made, pages };
  } finally {
    WebAssembly.Memory = Memory;
  }
}

function poison(buffer: ArrayBuffer): number {
  const ram = new Uint8Array(buffer, RAM_BASE);
  const flags = new Uint8Array(buffer, PAGE_FLAGS_BASE, ram.length / PAGE_SIZE);
  for (const [page, flag] of flags.entries())
    if ((flag & PAGE_FLAG.absent) !== 0) ram.fill(POISON, page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
  return new Uint32Array(buffer, ABSENT_PAGES, 1)[0]!;
}
