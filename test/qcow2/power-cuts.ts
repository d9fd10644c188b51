/** A disk under a random workload whose power may go at every write: what an image must still hold then. */
import type { BlockBackend } from '../../src/devices/contract.ts';
import type { Random } from '../conformance/random.ts';
import { RecordingFile } from '../support/power-cut.ts';
import { check, fileWith, openDisk, readAll } from './images.ts';

const SECTOR = 512;

export interface PowerCutOptions {
  readonly random: Random;
  /** The image that the workload begins with, and what its disk holds. */
  readonly image: Uint8Array;
  readonly content: Uint8Array;
  readonly backing?: (() => BlockBackend) | undefined;
  readonly steps: number;
  /** Looks at the image of one cut, besides what is looked at anyway. Returns what is wrong. */
  readonly inspect?: ((image: Uint8Array) => Promise<string | undefined>) | undefined;
}

export interface PowerCutReport {
  readonly cuts: number;
  readonly failures: readonly string[];
}

/** What each sector may hold: known by its first bytes, which make it unlike any other. */
class Model {
  readonly #possible: Set<string>[];
  readonly #last: string[];

  constructor(content: Uint8Array) {
    this.#last = Array.from({ length: content.length / SECTOR }, (_, i) => keyOf(content, i));
    this.#possible = this.#last.map((key) => new Set([key]));
  }

  /** Sectors from `first` on are being written. */
  write(first: number, content: Uint8Array): void {
    for (let i = 0; i < content.length / SECTOR; i++) {
      this.#last[first + i] = keyOf(content, i);
      this.#possible[first + i]!.add(keyOf(content, i));
    }
  }

  /** All that was written is durable. */
  flushed(): void {
    for (const [i, key] of this.#last.entries()) this.#possible[i] = new Set([key]);
  }

  wrong(content: Uint8Array): string | undefined {
    const sector = this.#possible.findIndex((keys, i) => !keys.has(keyOf(content, i)));
    return sector < 0 ? undefined : `sector ${sector} holds what was never written there, or no more`;
  }
}

const keyOf = (content: Uint8Array, sector: number): string =>
  Buffer.from(content.buffer, content.byteOffset + sector * SECTOR, SECTOR).toString('latin1');

/** Runs the workload. */
export async function runPowerCuts(options: PowerCutOptions): Promise<PowerCutReport> {
  const { random, image, content, steps } = options;
  const file = await RecordingFile.of(image);
  const model = new Model(content);
  const failures: string[] = [];
  let cuts = 0;
  file.onMoment = async () => {
    cuts += 1;
    const left = file.afterCut(() => random.u32() / 2 ** 32);
    const problem = await inspectCut(left, model, options).catch((error: unknown) => String(error));
    if (problem !== undefined) failures.push(`cut ${cuts}: ${problem}`);
  };
  const disk = await openDisk(file, { backing: options.backing?.() });
  for (let step = 0; step < steps; step++) await takeStep(disk, model, random);
  await disk.close();
  return { cuts, failures };
}

async function takeStep(disk: BlockBackend, model: Model, random: Random): Promise<void> {
  const sectors = disk.size / SECTOR;
  const first = random.below(sectors);
  const count = 1 + random.below(Math.min(sectors - first, random.pick([1, 8, 40])));
  const kind = random.below(10);
  if (kind < 6) {
    const content = new Uint8Array(count * SECTOR);
    random.fill(content);
    model.write(first, content);
    await disk.write(first * SECTOR, content);
  } else if (kind < 8) {
    model.write(first, new Uint8Array(count * SECTOR));
    await disk.writeZeroes?.(first * SECTOR, count * SECTOR);
  } else {
    await disk.flush();
    model.flushed();
  }
}

async function inspectCut(left: Uint8Array, model: Model, options: PowerCutOptions): Promise<string | undefined> {
  const file = await fileWith(left);
  const disk = await openDisk(file, { readOnly: true, backing: options.backing?.() });
  const wrong = model.wrong(await readAll(disk));
  if (wrong !== undefined) return wrong;
  const { errors, problems } = await check(file);
  if (errors > 0) return problems.find((problem) => problem.startsWith('ERROR'));
  return options.inspect?.(left);
}
