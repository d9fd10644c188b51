/** What a machine needs of the place it runs in; implementations are in `src/host/`. */

export interface HostTime {
  /** A monotonic clock, in nanoseconds. */
  nowNs(): bigint;
  /** Milliseconds since 1970-01-01 UTC. */
  wallTimeMs(): number;
  /** Calls `ring` once, `ms` milliseconds from now or a little later. The result cancels it. */
  setTimer(ms: number, ring: () => void): () => void;
  /** Lets the host's event loop run its other work once. */
  breathe(): Promise<void>;
}

export interface HostServices {
  readonly time: HostTime;
  /** Fills `bytes` with randomness fit for keys. */
  randomFill(bytes: Uint8Array): void;
}
