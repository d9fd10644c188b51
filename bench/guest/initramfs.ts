/** Writes an initramfs whose only program is the guest benchmark: `node bench/guest/initramfs.ts BENCH OUTPUT`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { writeCpio } from '../../guest/cpio.ts';

const [bench, output] = process.argv.slice(2);
if (!bench || !output) {
  process.stderr.write('usage: node bench/guest/initramfs.ts BENCH OUTPUT\n');
  process.exit(2);
}
writeFileSync(
  output,
  writeCpio([
    { type: 'directory', path: 'dev' },
    { type: 'character', path: 'dev/console', major: 5, minor: 1 },
    { type: 'file', path: 'init', mode: 0o755, content: readFileSync(bench) },
  ]),
);
