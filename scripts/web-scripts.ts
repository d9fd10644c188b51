/** The page's scripts: bundled, and made as small as can be. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { minify, version } from '@swc/core';
import { build, type Plugin, transform } from 'esbuild';
import type { Assets } from '../src/host/browser/assets.ts';
import { xterm } from './web-xterm.ts';

const TARGET = ['chrome116', 'firefox116', 'safari17'];
/** Behind esbuild, which joins files well and writes them less well. */
const SMALLEST = { compress: { ecma: 2022, passes: 3 }, mangle: true, module: true } as const;

/** What no machine of a page can be asked for: the engine that is for tests, traces, and to write images, which are opened to be read. */
const LEFT_OUT: Plugin = {
  name: 'left-out',
  setup({ onLoad }) {
    const leaveOut = (filter: RegExp, name: string): void =>
      onLoad({ filter }, () => ({ contents: `export function ${name}() { throw new Error('not in a page'); }` }));
    leaveOut(/src\/engine\/reference\/engine\.ts$/, 'createReferenceEngine');
    leaveOut(/src\/api\/trace\.ts$/, 'traceEngine');
    leaveOut(/src\/api\/timeline\.ts$/, 'timelineEngine');
    leaveOut(/src\/storage\/qcow2\/check\.ts$/, 'repairImage');
    leaveOut(/src\/storage\/qcow2\/create\.ts$/, 'l1EntriesFor');
    leaveOut(/src\/storage\/qcow2\/refcounts\.ts$/, 'Refcounts');
    leaveOut(/src\/storage\/qcow2\/cluster-writer\.ts$/, 'ClusterWriter');
    leaveOut(/src\/storage\/qcow2\/writable-mapping\.ts$/, 'WritableMapping');
  },
};

/** Definitions are tested before they are in a page: it does not check again what they make. */
const UNCHECKED: Plugin = {
  name: 'unchecked',
  setup({ onLoad }) {
    onLoad({ filter: /src\/isa\/ir\/verify\.ts$/ }, () => ({
      contents:
        'export class IrError extends Error {} export function verifyOp() {} export function verifyStatement() {}',
    }));
  },
};

/** Style sheets that scripts have as text. */
const STYLES: Plugin = {
  name: 'styles',
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path: file }) => {
      const { code } = await transform(readFileSync(file, 'utf8'), { loader: 'css', minify: true, target: TARGET });
      return { contents: code, loader: 'text' };
    });
  },
};

/** Writes the scripts of `sources` (paths) and what they share into `folder`. */
export async function writeScripts(sources: readonly string[], folder: string, assets: Assets): Promise<void> {
  const { outputFiles } = await build({
    entryPoints: [...sources],
    outdir: folder,
    bundle: true,
    splitting: true,
    minify: true,
    write: false,
    format: 'esm',
    target: TARGET,
    // All in one folder: the element looks for the rest beside itself, in whatever file it ends up.
    chunkNames: '[name]-[hash]',
    legalComments: 'none',
    logLevel: 'warning',
    define: { TRAPEZE_ASSETS: JSON.stringify(assets) },
    // The hash is to change with what is done to the files behind it.
    banner: { js: `/* ${version} ${JSON.stringify(SMALLEST)} */` },
    plugins: [LEFT_OUT, UNCHECKED, STYLES, xterm(TARGET)],
  });
  for (const { path: file, text } of outputFiles) {
    const { code } = await minify(text, SMALLEST);
    writeFileSync(path.join(folder, path.basename(file)), code);
  }
}
