#!/usr/bin/env node
// The command. Plain JavaScript that old versions of Node can parse: its first task is to turn them away in one line.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import v8 from 'node:v8';

const OLDEST_NODE = 24;

/** @param {string} path relative to the package's root */
function inPackage(path) {
  return new URL(`../${path}`, import.meta.url);
}

const sources = inPackage('src/cli/main.ts');
const inCheckout = existsSync(sources);

if (Number.parseInt(process.versions.node, 10) >= OLDEST_NODE) {
  // Building the processor leaves much garbage in little time: else the young generation grows by some 40 MB for good.
  v8.setFlagsFromString('--semi-space-growth-factor=1');
  // Starting takes a third of the time when the compiled modules are kept.
  module.enableCompileCache(inCheckout ? fileURLToPath(inPackage('.cache/compile')) : undefined);
  await import((inCheckout ? sources : inPackage('dist/cli/main.js')).href);
} else {
  // A checkout brings its own Node, unless this is that one.
  const own = fileURLToPath(inPackage('node_modules/.bin/node'));
  if (inCheckout && existsSync(own)) {
    const child = spawnSync(own, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
    if (child.signal !== null) process.kill(process.pid, child.signal);
    process.exitCode = child.status ?? 1;
  } else {
    const fix = inCheckout ? 'run `npm run setup` in the checkout' : `install Node ${OLDEST_NODE} or later`;
    console.error(`trapeze: needs Node ${OLDEST_NODE} or later and this is ${process.versions.node}: ${fix}`);
    process.exitCode = 2;
  }
}
