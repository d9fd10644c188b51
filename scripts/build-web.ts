/**
 * `npm run build:web [-- --outdir FOLDER]`: the page as a folder that any file server can host, `dist/web` unless told otherwise. What is
 * there is replaced at once, when all is made.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build, type Plugin, transform } from 'esbuild';
import type { Asset, Assets } from '../src/host/browser/assets.ts';
import { bootCode } from './boot-code.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BEST = { level: 9 };
/** What is in the bundles and not ours. */
const PACKAGES = ['@xterm/xterm', '@xterm/addon-fit', 'fflate', 'uplot', 'zod'];

/** A name that changes with the content, so that it may be kept for ever. */
function write(folder: string, name: string, suffix: string, content: Uint8Array): Asset {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 8);
  const file = `${name}-${hash}${suffix}`;
  writeFileSync(path.join(folder, file), content);
  return { file, size: content.length };
}

async function assets(folder: string): Promise<Assets> {
  const guest = (name: string): Uint8Array => readFileSync(path.join(ROOT, 'guest/images', name));
  mkdirSync(path.join(folder, 'guest'));
  return {
    engineCode: write(folder, 'engine-code', '.bin', gzipSync(await bootCode(), BEST)),
    guest: {
      kernel: write(folder, 'guest/vmlinuz', '.bin', guest('vmlinuz-x86_64')),
      initrd: write(folder, 'guest/initramfs', '.bin', gzipSync(guest('initramfs-x86_64.cpio'), BEST)),
    },
  };
}

/** The page's machines have one engine: the other is for tests. */
const LEFT_OUT: Plugin = {
  name: 'left-out',
  setup({ onLoad }) {
    onLoad({ filter: /src\/engine\/reference\/engine\.ts$/ }, () => ({
      contents: "export function createReferenceEngine() { throw new Error('there is no such engine in a page'); }",
    }));
  },
};

async function bundle(folder: string, found: Assets): Promise<void> {
  const source = (name: string): string => path.join(ROOT, 'src/web', name);
  await build({
    entryPoints: ['page.ts', 'trapeze-vm.ts', 'worker.ts'].map(source),
    outdir: folder,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    target: ['chrome116', 'firefox116', 'safari17'],
    // All in one folder: the element looks for the rest beside itself, in whatever file it ends up.
    chunkNames: '[name]-[hash]',
    legalComments: 'none',
    logLevel: 'warning',
    loader: { '.css': 'text' },
    define: { TRAPEZE_ASSETS: JSON.stringify(found) },
    plugins: [LEFT_OUT],
  });
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

/** Builds into `outdir`. */
async function buildWeb(outdir: string): Promise<void> {
  mkdirSync(path.dirname(outdir), { recursive: true });
  const folder = mkdtempSync(`${outdir}.`);
  try {
    await bundle(folder, await assets(folder));
    licences(folder);
    rmSync(outdir, { recursive: true, force: true });
    renameSync(folder, outdir);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const { values } = parseArgs({ options: { outdir: { type: 'string', default: path.join(ROOT, 'dist/web') } } });
process.chdir(ROOT);
await buildWeb(path.resolve(values.outdir));
