import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Statistics } from '../api/statistics.ts';
import { axisTop, ratesBetween, shortNumber } from './rates.ts';

/** Statistics with all counts at `n`, half of the instructions translated. */
function statistics(wallSeconds: number, n: number): Statistics {
  return {
    engine: 'wasm',
    instructions: n,
    instructionsBefore: 0,
    decodedInstructions: n,
    wallSeconds,
    busySeconds: wallSeconds,
    guestSeconds: wallSeconds,
    instructionsPerSecond: 1,
    firstOutputSeconds: null,
    restarts: 0,
    exceptions: { '#PF': n },
    interrupts: { '48': n },
    devices: { pit: { reads: n, writes: n } },
    vcpus: [
      {
        instructions: n,
        code: {
          tiers: { interpreter: 0.5, translator: 0.5 },
          regions: { made: n, live: 7, dropped: n - 7 },
          modules: { made: n, live: n },
          wasmBytes: n,
          translateMs: 0,
          compileMs: 0,
          tlbMisses: n,
          regionExits: { jump: n },
          exits: { halted: n },
        },
      },
    ],
    disks: [],
  } as Statistics;
}

test('rates are differences over time', () => {
  assert.deepEqual(ratesBetween(statistics(1, 100), statistics(3, 300)), {
    interpreter: 50,
    translator: 50,
    exits: { jump: 100, halted: 100 },
    interrupts: { '0x30': 100 },
    exceptions: { '#PF': 100 },
    devices: { pit: 200 },
    tlbMisses: 100,
    translations: 100,
    regions: 7,
  });
});

test('of another run, or of no time, there is nothing wrong to show', () => {
  assert.equal(ratesBetween(statistics(2, 100), statistics(2, 100)), undefined);
  assert.equal(ratesBetween(statistics(1, 100), statistics(3, 20))?.tlbMisses, 0);
});

test('scales end at short numbers', () => {
  assert.deepEqual([0, 1, 3, 10, 11, 999, 12.3e6].map(axisTop), [2, 2, 4, 10, 20, 1000, 20e6]);
});

test('counts for people', () => {
  assert.deepEqual([0, 999, 1234, 12.3e6, 456e6, 3e9].map(shortNumber), [
    '0',
    '999',
    '1.2 k',
    '12.3 M',
    '456 M',
    '3.0 G',
  ]);
});
