/** `npm run conformance -- qcow2`: images of QEMU, damaged images, and power cuts, at length. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { RunOptions } from '../conformance/long-runs.ts';
import { Progress } from '../conformance/progress.ts';
import { Random } from '../conformance/random.ts';
import { qemuImg, qemuImgMissing, tryQemuImg } from '../support/qemu-img.ts';
import { damage, useDamaged } from './corruption.ts';
import { BytesDisk } from './images.ts';
import { type PowerCutReport, runPowerCuts } from './power-cuts.ts';
import { checkOneImage, contentByQemu, inFolder } from './qemu-check.ts';
import { makeQemuImage } from './qemu-images.ts';

const DAMAGED_IMAGES = 10_000;
/** Of the damaged images, so many for each image of QEMU that is compared, and for each workload that is cut. */
const PER_IMAGE = 50;
const PER_WORKLOAD = 100;
/** Damaged images made from one sound one. */
const PER_SAMPLE = 100;
/** Large ones take their time and have no more tables. */
const LARGEST_SAMPLE = 4 * 2 ** 20;
/** Of the damaged images that can be read whole, one in so many is shown to QEMU. */
const READABLE_PER_COMPARISON = 5;
/** Of the cuts, one in so many is shown to QEMU. */
const CUTS_PER_CHECK = 10;
/** A disk whose sectors are all read at each cut should be small. */
const LARGEST_CUT_DISK = 2 ** 20;
const MOST_SHOWN = 20;

export async function runQcow2({ count = DAMAGED_IMAGES, seed }: RunOptions): Promise<boolean> {
  const missing = qemuImgMissing();
  if (missing !== undefined) {
    console.log(`qcow2: SKIPPED, ${missing}`);
    return true;
  }
  const results = [
    await compareImages(Math.ceil(count / PER_IMAGE), seed),
    await damageImages(count, seed),
    await cutPower(Math.ceil(count / PER_WORKLOAD), seed),
  ];
  return results.every((well) => well);
}

function show(failures: readonly string[]): boolean {
  for (const failure of failures.slice(0, MOST_SHOWN)) console.log(`  ${failure}`);
  return failures.length === 0;
}

async function compareImages(count: number, seed: number): Promise<boolean> {
  console.log(`qcow2: ${count} images of QEMU, seed ${seed}`);
  const progress = new Progress('qcow2 images', count);
  const failures: string[] = [];
  for (let i = 0; i < count; i++) {
    for (const problem of await checkOneImage(new Random(seed + i))) failures.push(`seed ${seed + i}: ${problem}`);
    progress.at(i + 1, `, ${failures.length} failures`);
  }
  console.log(`qcow2: ${count} images read, checked, written and converted; ${failures.length} failures`);
  return show(failures);
}

/** Damages images of QEMU; what both sides then read whole must be the same. */
async function damageImages(count: number, seed: number): Promise<boolean> {
  console.log(`qcow2: ${count} damaged images, seed ${seed}`);
  const progress = new Progress('qcow2 damaged', count);
  const failures: string[] = [];
  let [readable, compared, done] = [0, 0, 0];
  for (let next = seed; done < count; next++)
    await inFolder(async (folder) => {
      const sample = makeQemuImage(new Random(next), folder);
      const [sound, behind] = [readFileSync(sample.path), imagesBehind(folder)];
      if (sound.length > LARGEST_SAMPLE) return;
      for (const end = Math.min(count, done + PER_SAMPLE); done < end; done++) {
        const random = new Random(seed + done);
        const image = damage(sound, random);
        try {
          const disk = await useDamaged({ image, behind, random });
          readable += disk === undefined ? 0 : 1;
          const shown = disk !== undefined && readable % READABLE_PER_COMPARISON === 0;
          if (shown) writeFileSync(sample.path, image);
          const theirs = shown ? contentByQemu(sample.path) : undefined;
          compared += theirs === undefined ? 0 : 1;
          if (theirs !== undefined && Buffer.compare(theirs, disk!) !== 0)
            failures.push(`seed ${seed + done}, ${sample.options}: QEMU reads otherwise`);
        } catch (error) {
          failures.push(`seed ${seed + done}, ${sample.options}: ${(error as Error).stack}`);
        }
        progress.at(done, `, ${failures.length} failures`);
      }
    });
  console.log(
    `qcow2: ${count} damaged images; ${readable} could be read whole, of these ${compared} were compared with what QEMU reads; ${failures.length} failures`,
  );
  return show(failures);
}

function imagesBehind(folder: string): ReadonlyMap<string, Uint8Array> {
  const behind = new Map<string, Uint8Array>();
  for (const name of ['base.qcow2', 'base.img', 'middle.qcow2']) {
    try {
      behind.set(name, readFileSync(path.join(folder, name)));
    } catch {}
  }
  return behind;
}

async function cutPower(count: number, seed: number): Promise<boolean> {
  console.log(`qcow2: ${count} workloads cut at every write, seed ${seed}`);
  const progress = new Progress('qcow2 cuts', count);
  const failures: string[] = [];
  let [cuts, done] = [0, 0];
  for (let next = seed; done < count; next++) {
    const report = await inFolder((folder) => cutOneWorkload(new Random(next), folder));
    if (report === undefined) continue;
    done += 1;
    cuts += report.cuts;
    for (const failure of report.failures) failures.push(`seed ${next}: ${failure}`);
    progress.at(done, `, ${failures.length} failures`);
  }
  console.log(`qcow2: ${count} workloads, ${cuts} cuts, every tenth checked by QEMU too; ${failures.length} failures`);
  return show(failures);
}

/** Undefined for images that do not suit: QEMU's own contradictions, also behind them, and disks that are too large. */
async function cutOneWorkload(random: Random, folder: string): Promise<PowerCutReport | undefined> {
  const sample = makeQemuImage(random, folder);
  const sound = tryQemuImg('check', '-f', 'qcow2', sample.path).status === 0;
  const { 'virtual-size': size, 'backing-filename': backing } = JSON.parse(
    qemuImg('info', '--output=json', sample.path),
  ) as Record<string, number | string>;
  const content = contentByQemu(sample.path);
  if (!sound || content === undefined || Number(size) > LARGEST_CUT_DISK) return undefined;
  const raw = (name: string): Uint8Array => {
    const output = `${path.join(folder, name)}.raw`;
    qemuImg('convert', '-O', 'raw', path.join(folder, name), output);
    return readFileSync(output);
  };
  const behind = backing === undefined ? undefined : raw(String(backing));
  let checks = 0;
  return await runPowerCuts({
    random,
    image: readFileSync(sample.path),
    content,
    backing: behind && (() => new BytesDisk(behind)),
    steps: 30,
    inspect: async (image) => {
      if ((checks += 1) % CUTS_PER_CHECK !== 0) return undefined;
      writeFileSync(sample.path, image);
      const { status, stdout } = tryQemuImg('check', '-f', 'qcow2', sample.path);
      return status === 0 || status === 3 ? undefined : `qemu-img check: ${stdout.slice(0, 300)}`;
    },
  });
}
