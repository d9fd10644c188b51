/** `npm run build`: JavaScript and type declarations of `src/` in `dist/`, with the engine's own code and the page, as the npm package carries them. */
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { CodeStore } from '../src/engine/wasm/code-store.ts';
import { keptForm } from '../src/host/node/engine-code.ts';
import { bootCode } from './boot-code.ts';

function run(command: string, args: readonly string[]): void {
  const { error, status } = spawnSync(command, args, { stdio: 'inherit' });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

rmSync('dist', { recursive: true, force: true });
run('tsc', ['-p', 'tsconfig.build.json']);
writeFileSync('dist/engine-code', keptForm(CodeStore.from(await bootCode()).content()));
run('tsc', ['-p', 'tsconfig.web-types.json']);
run(process.execPath, ['scripts/build-web.ts']);
