/** Time and randomness from Node. */
import { webcrypto } from 'node:crypto';
import { hrtime } from 'node:process';
import { setImmediate as immediate } from 'node:timers/promises';
import type { HostServices, HostTime } from '../../machine/host-services.ts';

export const nodeTime: HostTime = {
  nowNs: () => hrtime.bigint(),
  wallTimeMs: () => Date.now(),
  setTimer(ms, ring) {
    const timer = setTimeout(ring, ms);
    return () => clearTimeout(timer);
  },
  breathe: () => immediate(),
};

/** `getRandomValues` refuses more at once (Web Cryptography API §10.1.1). */
const QUOTA = 65_536;

export const nodeHost: HostServices = {
  time: nodeTime,
  randomFill(bytes) {
    for (let at = 0; at < bytes.length; at += QUOTA) {
      const part = new Uint8Array(Math.min(QUOTA, bytes.length - at));
      bytes.set(webcrypto.getRandomValues(part), at);
    }
  },
};
