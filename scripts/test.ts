/**
 * `npm test [-- [FILE…] [--grep PATTERN] [NODE TEST OPTIONS]]`: Node's test runner over the unit tests beside
 * their sources and the tests in `test/`. Prints the runner's own report and ends with its exit code.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import process from 'node:process';

const TESTS = '{src,test,guest,scripts,bench}/**/*.test.ts';

/** A boot of a stock kernel takes a while; a test that takes longer than this hangs. */
const TIMEOUT_MS = 15 * 60 * 1000;

function parse(words: readonly string[]): { options: string[]; files: string[] } {
  const options: string[] = [];
  const files: string[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at]!;
    if (word === '--grep') options.push(`--test-name-pattern=${words[((at += 1))] ?? ''}`);
    else if (word.startsWith('--grep=')) options.push(`--test-name-pattern=${word.slice('--grep='.length)}`);
    else if (word.startsWith('-')) options.push(word);
    else files.push(word);
  }
  return { options, files };
}

function expand(files: readonly string[]): string[] {
  if (files.length === 0) return globSync(TESTS, { exclude: (name) => name.includes('node_modules') }).sort();
  return files.flatMap((file) => {
    const found = existsSync(file) && !file.endsWith('.ts') ? globSync(`${file}/**/*.test.ts`) : globSync(file);
    if (found.length === 0) throw new Error(`no test file '${file}': give a file, a folder or a glob`);
    return found.sort();
  });
}

function run(): number {
  const { options, files } = parse(process.argv.slice(2));
  const child = spawnSync(
    process.execPath,
    [
      '--test',
      '--test-concurrency=2',
      '--test-reporter=spec',
      `--test-timeout=${TIMEOUT_MS}`,
      ...options,
      ...expand(files),
    ],
    { stdio: 'inherit' },
  );
  if (child.error !== undefined) throw child.error;
  return child.status ?? 1;
}

try {
  process.exitCode = run();
} catch (error) {
  console.error(`npm test: ${(error as Error).message}`);
  process.exitCode = 2;
}
