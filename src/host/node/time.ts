/** Time and randomness from Node. */
import { hrtime } from 'node:process';
import { setImmediate as immediate } from 'node:timers/promises';
import type { HostServices, HostTime } from '../../machine/host-services.ts';
import { randomFill } from '../random.ts';

export const nodeTime: HostTime = {
  nowNs: () => hrtime.bigint(),
  wallTimeMs: () => Date.now(),
  setTimer(ms, ring) {
    const timer = setTimeout(ring, ms);
    return () => clearTimeout(timer);
  },
  breathe: () => immediate(),
};

export const nodeHost: HostServices = { time: nodeTime, randomFill };
