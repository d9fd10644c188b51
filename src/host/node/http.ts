/** What Node has for reading over HTTP. */
import { createHash } from 'node:crypto';
import type { HttpPlatform } from '../../storage/http/platform.ts';
import { nodeTime } from './time.ts';

export const nodeHttp: HttpPlatform = {
  fetch: (url, { signal, ...init }) => fetch(url, { ...init, signal: signal as AbortSignal }),
  abortController: () => new AbortController(),
  setTimer: (ms, ring) => nodeTime.setTimer(ms, ring),
  wallTimeMs: () => Date.now(),
  random: () => Math.random(),
  sha256: async (bytes) => createHash('sha256').update(bytes).digest(),
};
