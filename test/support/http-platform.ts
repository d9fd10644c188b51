/** Node's HTTP for tests: waits between attempts take no time, and patience with a server ends when the test says. */
import { nodeHttp } from '../../src/host/node/http.ts';
import type { HttpPlatform } from '../../src/storage/http/platform.ts';
import { PATIENCE } from '../../src/storage/http/platform.ts';

export class TestHttp implements HttpPlatform {
  readonly fetch = nodeHttp.fetch;
  readonly abortController = nodeHttp.abortController;
  readonly wallTimeMs = (): number => Date.UTC(2026, 0, 1);
  readonly random = (): number => 0.5;
  readonly sha256 = nodeHttp.sha256;
  readonly explain = nodeHttp.explain;
  /** Waits between attempts, in milliseconds. */
  readonly waits: number[] = [];
  readonly #stalls = new Set<() => void>();

  setTimer(ms: number, ring: () => void): () => void {
    if (ms >= PATIENCE.answerMs) return () => {};
    if (ms === PATIENCE.stallMs) {
      this.#stalls.add(ring);
      return () => this.#stalls.delete(ring);
    }
    this.waits.push(ms);
    const soon = setImmediate(ring);
    return () => clearImmediate(soon);
  }

  /** As if nothing had come for a long time. */
  loseStalled(): void {
    setImmediate(() => {
      for (const ring of this.#stalls) ring();
    });
  }
}
