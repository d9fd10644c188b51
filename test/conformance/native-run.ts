/** Runs cases on the host's own processor, in a child process. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import type { Case, Outcome } from './cpu-case.ts';
import {
  CS32,
  CS64,
  DATA_SELECTOR,
  FRAME,
  FRAME_INDEX,
  FX_BYTES,
  INPUT,
  MAX_CASES,
  OUTPUT,
  PAGE_SIZE,
} from './native-layout.ts';
import { nativeProgram } from './native-program.ts';

const PAGE_FAULT = 14;
const TIMEOUT_MS = 60_000;

/** Why this host cannot run cases natively; undefined where it can. */
export function nativeUnavailable(): string | undefined {
  if (process.platform === 'linux' && process.arch === 'x64') return undefined;
  return `needs x86-64 Linux, this is ${process.platform} on ${process.arch}`;
}

function writeCase(c: Case, record: Uint8Array): void {
  const view = new DataView(record.buffer, record.byteOffset);
  const put = (word: number, value: bigint): void => view.setBigUint64(INPUT.frame + word * 8, value, true);
  for (const [n, value] of c.general.entries()) put(FRAME_INDEX[n], value);
  put(FRAME.rip, c.rip);
  put(FRAME.flags, BigInt(c.flags));
  const code = c.mode === 64 ? CS64 : CS32;
  put(FRAME.selectors, BigInt(code) | (BigInt(DATA_SELECTOR) << 48n));
  record.set(c.fx, INPUT.fx);
  record.set(c.code, INPUT.code);
  record.set(c.scratch, INPUT.scratch);
}

function readOutcome(record: Uint8Array): Outcome {
  const view = new DataView(record.buffer, record.byteOffset);
  const get = (word: number): bigint => view.getBigUint64(OUTPUT.frame + word * 8, true);
  const vector = Number(get(FRAME.trap));
  return {
    general: BigUint64Array.from(FRAME_INDEX, get),
    rip: get(FRAME.rip),
    flags: Number(get(FRAME.flags)),
    fx: record.slice(OUTPUT.fx, OUTPUT.fx + FX_BYTES),
    scratch: record.slice(OUTPUT.scratch, OUTPUT.scratch + PAGE_SIZE),
    vector,
    errorCode: Number(get(FRAME.error)),
    faultAddress: vector === PAGE_FAULT ? get(FRAME.cr2) : undefined,
  };
}

export class NativeRunner {
  readonly #directory: string;
  readonly #program: string;

  constructor() {
    this.#directory = mkdtempSync(path.join(os.tmpdir(), 'trapeze-native-'));
    this.#program = path.join(this.#directory, 'run-cases');
    writeFileSync(this.#program, nativeProgram());
    chmodSync(this.#program, 0o700);
  }

  /** @throws Error where the child process ends early: a case wrote over the child. */
  run(cases: readonly Case[]): readonly Outcome[] {
    const outcomes: Outcome[] = [];
    for (let at = 0; at < cases.length; at += MAX_CASES) outcomes.push(...this.#batch(cases.slice(at, at + MAX_CASES)));
    return outcomes;
  }

  #batch(cases: readonly Case[]): readonly Outcome[] {
    const input = new Uint8Array(cases.length * INPUT.size);
    for (const [i, c] of cases.entries()) writeCase(c, input.subarray(i * INPUT.size, (i + 1) * INPUT.size));
    const size = cases.length * OUTPUT.size;
    const child = spawnSync(this.#program, [], { input, maxBuffer: size + 1, timeout: TIMEOUT_MS });
    if (child.error !== undefined) throw child.error;
    if (child.stdout.length !== size) {
      throw new Error(
        `the native child ended with ${child.signal ?? child.status} and ${child.stdout.length} of ${size} bytes`,
      );
    }
    return cases.map((_, i) => readOutcome(child.stdout.subarray(i * OUTPUT.size, (i + 1) * OUTPUT.size)));
  }

  close(): void {
    rmSync(this.#directory, { recursive: true });
  }
}
