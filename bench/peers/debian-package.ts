/** Debian packages that a peer needs on the machine. */
import { execFileSync } from 'node:child_process';

/** Installs the package where that takes no question to anyone. Returns why it did not. */
export function installPackage(name: string): string | undefined {
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  const [file, ...words] = [...asRoot, 'apt-get', 'install', '-y', '-q', '--no-install-recommends', name];
  try {
    execFileSync(file, words, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
    return undefined;
  } catch (error) {
    const { code, stderr } = error as NodeJS.ErrnoException & { stderr?: Buffer };
    return code === 'ENOENT' ? `there is no ${file} here` : String(stderr).trim().split('\n').at(-1);
  }
}
