/** `npm run build`: JavaScript and type declarations of `src/` in `dist/`, with the engine's own code, as the npm package carries them. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync, rmSync } from 'node:fs';
import process from 'node:process';

function run(command: string, args: readonly string[]): void {
  const { error, status } = spawnSync(command, args, { stdio: 'inherit' });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

rmSync('dist', { recursive: true, force: true });
run('tsc', ['-p', 'tsconfig.build.json']);
// A boot needs most of the code that there is, and leaves it there.
const KEPT = '.cache/engine';
rmSync(KEPT, { recursive: true, force: true });
run(process.execPath, ['bin/trapeze.js', 'run', '--append', 'trapeze.poweroff', '--serial', 'none']);
copyFileSync(`${KEPT}/${readdirSync(KEPT)[0]}`, 'dist/engine-code');
