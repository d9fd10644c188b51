/** The options of `trapeze disk`. */
import { Argument, type Command, Option } from 'commander';
import type { CheckFlags, CompareFlags, ConvertFlags, CreateFlags, InfoFlags, ResizeFlags } from './disk.ts';
import { CLUSTER_SIZES, COMPATS, COMPRESSION_TYPES, IMAGE_FORMATS, REFCOUNT_BITS, REPAIRS } from './disk-choices.ts';
import { addDiskManifest } from './disk-manifest-command.ts';

const CREATE_EXAMPLES = `
Examples:
  trapeze disk create disk.qcow2 20G
      an empty disk; the file grows as the disk is written
  trapeze disk create --backing debian.img work.qcow2
      a disk that shows debian.img and keeps what changes in work.qcow2
  trapeze disk create --backing debian.img --extended-l2 --cluster-size 128K work.qcow2
      the same, where a small write copies 4K of debian.img at most, not 128K
  trapeze disk create --format raw disk.img 512M

Exit codes: 0 made, 2 wrong usage, or a file that cannot be used.`;

const INFO_EXAMPLES = `
Examples:
  trapeze disk info disk.qcow2
  trapeze disk info --json disk.qcow2 | jq .qcow2.snapshots

Exit codes: 0 shown, 2 wrong usage, or a file that cannot be used.`;

const CONVERT_EXAMPLES = `
Examples:
  trapeze disk convert --format raw disk.qcow2 disk.img
      one file with all that the image and its backing files show
  trapeze disk convert --compress disk.img disk.qcow2
      as small as it gets, to hand out
  trapeze disk convert --compress --compression-type zstd disk.img disk.qcow2
      by Zstandard, which QEMU reads from 5.1 on
  trapeze disk convert --force work.qcow2 work.qcow2
      the same disk without what was given up since, and without snapshots

Exit codes: 0 converted, 2 wrong usage, or a file that cannot be used, 130 interrupted: nothing is left behind.`;

const RESIZE_EXAMPLES = `
Examples:
  trapeze disk resize disk.qcow2 40G
      a disk of 40G: what is new reads as zeros and takes no room in the file
  trapeze disk resize disk.img +10G
      10G more than it has
  trapeze disk resize --shrink disk.qcow2 5G
      what the disk has behind 5G is lost: make partitions and file systems smaller before

What is in the disk keeps its size: let the guest use the rest (growpart, resize2fs). No run may use the image meanwhile.
Exit codes: 0 done, 2 wrong usage, or a file that cannot be used.`;

const COMPARE_EXAMPLES = `
Examples:
  trapeze disk compare disk.img disk.qcow2
      whether a guest would read the same from both, whatever their formats
  trapeze disk compare --json before.qcow2 after.qcow2 | jq .differsAt

A smaller disk counts as zeros behind its end.
Exit codes: 0 the same, 1 they differ, 2 wrong usage, or a file that cannot be used.`;

const CHECK_EXAMPLES = `
Examples:
  trapeze disk check disk.qcow2
  trapeze disk check --repair leaks disk.qcow2
      gives clusters free that nothing uses any more, as a power cut leaves them
  trapeze disk check --json disk.qcow2

Exit codes: 0 clean (or repaired), 1 errors, 2 wrong usage, or a file that cannot be used, 3 leaks only.`;

const format = (flags: string, text: string): Option => new Option(flags, text).choices(IMAGE_FORMATS);
const FOUND = '(default: as the content says)';

export function addDisk(program: Command, finish: (code: number) => void): void {
  const disk = program
    .command('disk')
    .description('make, look into, convert, resize, compare and check disk images, and serve them');
  addCreate(disk);
  addInfo(disk);
  addConvert(disk, finish);
  addResize(disk);
  addCompare(disk, finish);
  addCheck(disk, finish);
  addDiskManifest(disk);
}

/** Adds what a new image can be. */
function withShape(command: Command): Command {
  return command
    .addOption(format('--format <format>', 'of the new image').default('qcow2'))
    .addOption(new Option('--cluster-size <size>', 'of qcow2').choices(CLUSTER_SIZES).default('64K'))
    .addOption(new Option('--refcount-bits <bits>', 'of qcow2').choices(REFCOUNT_BITS).default('16'))
    .addOption(new Option('--compat <version>', 'of qcow2: 0.10 is for old programs').choices(COMPATS).default('1.1'))
    .addOption(
      new Option('--compression-type <type>', 'of qcow2: how clusters are compressed, now or later')
        .choices(COMPRESSION_TYPES)
        .default('zlib'),
    )
    .option('--extended-l2', 'of qcow2: clusters in 32 parts, of which each is written for itself')
    .option('--force', 'replace a file that is there');
}

function addCreate(disk: Command): void {
  withShape(disk.command('create').description('make an image of an empty disk'))
    .argument('<file>', 'the new image')
    .argument('[size]', 'of the disk, such as 20G (default: as large as the backing file)')
    .option('--backing <file>', 'an image that shows through until it is written over; it is never written')
    .addOption(format('--backing-format <format>', `of the backing file ${FOUND}`))
    .addHelpText('after', CREATE_EXAMPLES)
    .action(async (path: string, size: string | undefined, flags: CreateFlags) =>
      (await import('./disk.ts')).create(path, size, flags),
    );
}

function addInfo(disk: Command): void {
  disk
    .command('info')
    .description('show what an image is, and its snapshots')
    .argument('<file>', 'an image')
    .addOption(format('--format <format>', `of the image ${FOUND}`))
    .option('--json', 'print one JSON object')
    .addHelpText('after', INFO_EXAMPLES)
    .action(async (path: string, flags: InfoFlags) => (await import('./disk.ts')).info(path, flags));
}

function addConvert(disk: Command, finish: (code: number) => void): void {
  withShape(disk.command('convert').description('copy a disk to a new image, leaving out what is zero'))
    .argument('<from>', 'an image')
    .argument('<to>', 'the new image')
    .addOption(format('--from-format <format>', `of the image that is read ${FOUND}`))
    .option('--compress', 'store clusters compressed')
    .addHelpText('after', CONVERT_EXAMPLES)
    .action(async (from: string, to: string, flags: ConvertFlags) =>
      finish(await (await import('./disk.ts')).convert(from, to, flags)),
    );
}

function addResize(disk: Command): void {
  disk
    .command('resize')
    .description('make the disk of an image larger or smaller')
    .argument('<file>', 'an image; the images behind it stay as they are')
    .argument('<size>', 'of the disk, such as 40G, or +10G for that much more')
    .addOption(format('--format <format>', `of the image ${FOUND}`))
    .option('--shrink', 'let the disk become smaller, and lose what is behind its new end')
    .addHelpText('after', RESIZE_EXAMPLES)
    .action(async (path: string, size: string, flags: ResizeFlags) =>
      (await import('./disk.ts')).resize(path, size, flags),
    );
}

function addCompare(disk: Command, finish: (code: number) => void): void {
  disk
    .command('compare')
    .description('tell whether two images hold the same disk')
    .argument('<one>', 'an image')
    .argument('<other>', 'another image')
    .addOption(format('--format <format>', `of the first image ${FOUND}`))
    .addOption(format('--other-format <format>', `of the second image ${FOUND}`))
    .option('--json', 'print one JSON object')
    .addHelpText('after', COMPARE_EXAMPLES)
    .action(async (one: string, other: string, flags: CompareFlags) =>
      finish(await (await import('./disk.ts')).compare(one, other, flags)),
    );
}

function addCheck(disk: Command, finish: (code: number) => void): void {
  disk
    .command('check')
    .description("check whether a qcow2 image's tables agree with each other")
    .addArgument(new Argument('<file>', 'an image'))
    .addOption(format('--format <format>', `of the image ${FOUND}`))
    .addOption(
      new Option('--repair <what>', 'leaks: free what nothing uses; all: set counts and flags right too').choices(
        REPAIRS,
      ),
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', CHECK_EXAMPLES)
    .action(async (path: string, flags: CheckFlags) => finish(await (await import('./disk.ts')).check(path, flags)));
}
