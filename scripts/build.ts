/** `npm run build`: JavaScript and type declarations of `src/` in `dist/`, as the npm package carries them. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import process from 'node:process';

rmSync('dist', { recursive: true, force: true });
const compiler = spawnSync('tsc', ['-p', 'tsconfig.build.json'], { stdio: 'inherit' });
if (compiler.error !== undefined) throw compiler.error;
process.exitCode = compiler.status ?? 1;
