/**
 * `npm run build:web [-- --outdir FOLDER]`: the page as a folder that any file server can host, `dist/web` unless told otherwise. What is
 * there is replaced at once, when all is made.
 */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { brotliCompress, gzip, gzipSync } from 'node:zlib';
import { transform } from 'esbuild';
import { CodeStore } from '../src/engine/wasm/code-store.ts';
import { ByteWriter } from '../src/engine/wasm/encoder.ts';
import { type Asset, type Assets, ENGINE_SECTION } from '../src/host/browser/assets.ts';
import { bootCode } from './boot-code.ts';
import { writeScripts } from './web-scripts.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BEST = { level: 9 };
const COMPRESSED = /\.(html|css|js|txt|wasm)$/;
/** What is in the bundles and not ours. */
const PACKAGES = ['@xterm/xterm', '@xterm/addon-fit', 'fflate', 'uplot', 'zod'];

/** A name that changes with the content, so that it may be kept for ever. */
function write(folder: string, name: string, suffix: string, content: Uint8Array): Asset {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 8);
  const file = `${name}-${hash}${suffix}`;
  writeFileSync(path.join(folder, file), content);
  return { file, size: content.length };
}

/** As a section of a WebAssembly module that has nothing else: servers compress what they know. */
function sectionOf(content: Uint8Array): Uint8Array {
  const section = new ByteWriter();
  section.name(ENGINE_SECTION);
  section.bytes(content);
  const module = new ByteWriter();
  for (const byte of [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 0]) module.byte(byte);
  module.u32(section.length);
  module.bytes(section.view());
  return module.view();
}

/** A name that changes when the instruction set or the engines do. */
function engineSources(): string {
  const hash = createHash('sha256');
  for (const folder of ['src/isa', 'src/engine'])
    for (const name of readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' }).sort())
      if (name.endsWith('.ts')) hash.update(`${name}\n`).update(readFileSync(path.join(ROOT, folder, name)));
  return hash.digest('hex').slice(0, 16);
}

/** Without the rows that each guest meets some of: what to make of a few takes less time than to fetch them all. */
async function engineCode(): Promise<Uint8Array> {
  const code = CodeStore.from(await bootCode());
  return code.only((key) => /^(?:main loop|procedures?) /.test(key)).content();
}

async function assets(folder: string): Promise<Assets> {
  const guest = (name: string): Uint8Array => readFileSync(path.join(ROOT, 'guest/images', name));
  mkdirSync(path.join(folder, 'guest'));
  return {
    sources: engineSources(),
    engineCode: write(folder, 'engine-code', '.wasm', sectionOf(await engineCode())),
    guest: {
      kernel: write(folder, 'guest/vmlinuz', '.bin', guest('vmlinuz-x86_64')),
      initrd: write(folder, 'guest/initramfs', '.bin', gzipSync(guest('initramfs-x86_64.cpio'), BEST)),
    },
  };
}

async function bundle(folder: string, found: Assets): Promise<void> {
  const source = (name: string): string => path.join(ROOT, 'src/web', name);
  await writeScripts(['page.ts', 'trapeze-vm.ts', 'worker.ts', 'helper.ts'].map(source), folder, found);
  const { code } = await transform(readFileSync(source('page.css'), 'utf8'), { loader: 'css', minify: true });
  writeFileSync(path.join(folder, 'page.css'), code);
  copyFileSync(source('index.html'), path.join(folder, 'index.html'));
}

function licences(folder: string): void {
  const texts = PACKAGES.map((name) => {
    const text = readFileSync(path.join(ROOT, 'node_modules', name, 'LICENSE'), 'utf8');
    return `${name}\n\n${text.trim()}\n`;
  });
  const own = readFileSync(path.join(ROOT, 'LICENSE'), 'utf8');
  writeFileSync(path.join(folder, 'licences.txt'), [`Trapeze\n\n${own.trim()}\n`, ...texts].join('\n----\n\n'));
  for (const name of ['licences', 'SOURCES']) {
    cpSync(path.join(ROOT, 'guest/images', name), path.join(folder, 'guest', name), { recursive: true });
  }
}

/** Puts beside each file what a server can send of it to who takes that: `.br` and `.gz`. */
async function compress(folder: string): Promise<void> {
  const names = readdirSync(folder).filter((name) => COMPRESSED.test(name));
  const packed = names.map(async (name) => {
    const file = path.join(folder, name);
    const content = readFileSync(file);
    writeFileSync(`${file}.br`, await promisify(brotliCompress)(content));
    writeFileSync(`${file}.gz`, await promisify(gzip)(content, BEST));
  });
  await Promise.all(packed);
}

/** Builds into `outdir`. */
async function buildWeb(outdir: string): Promise<void> {
  mkdirSync(path.dirname(outdir), { recursive: true });
  const folder = mkdtempSync(`${outdir}.`);
  try {
    await bundle(folder, await assets(folder));
    licences(folder);
    await compress(folder);
    rmSync(outdir, { recursive: true, force: true });
    renameSync(folder, outdir);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const HELP = `npm run build:web [-- --outdir FOLDER]

Writes the page as a folder that any file server can host. What is there is replaced at once, when all is made.

  --outdir FOLDER  dist/web unless told otherwise
  --help           this text

Examples:
  npm run build:web
  npm run build:web -- --outdir /srv/www/machine

Exit codes: 0 written, 1 it could not be, 2 the command line is wrong.`;

function options(): { readonly outdir: string; readonly help?: boolean } {
  const outdir = { type: 'string', default: path.join(ROOT, 'dist/web') } as const;
  try {
    return parseArgs({ options: { outdir, help: { type: 'boolean', short: 'h' } } }).values;
  } catch (error) {
    console.error(`npm run build:web: ${(error as Error).message}`);
    process.exit(2);
  }
}

const { outdir, help } = options();
process.chdir(ROOT);
if (help === true) console.log(HELP);
else {
  // Not on stdout: `npm pack --json` builds too, and prints its result there.
  console.error('build:web: bundling and compressing the page, which takes some seconds');
  await buildWeb(path.resolve(outdir));
  console.error(`build:web: ${path.resolve(outdir)} is written`);
}
