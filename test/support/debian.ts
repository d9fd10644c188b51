/**
 * Single files out of Debian packages, for tests: fetched by apt without installing anything and without touching the
 * machine's own apt state, kept in `.cache/guests/`.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export type DebianArchitecture = 'amd64' | 'i386';

/** A file of a package. For a metapackage that only depends on the real one, `dependency` says which to follow. */
export interface DebianFile {
  readonly package: string;
  readonly architecture: DebianArchitecture;
  readonly dependency?: RegExp;
  /** Where the file lies in the package, as a pattern of tar's `--wildcards`. */
  readonly pattern: string;
}

/** The package of a {@link DebianFile} is not to be had here; the message names it and says why. */
export class DebianUnavailable extends Error {
  override readonly name = 'DebianUnavailable';
}

const run = promisify(execFile);

/** The directory of everything fetched, at the repository's root; never committed. */
export const CACHE = fileURLToPath(new URL('../../.cache/guests', import.meta.url));

/** An apt configuration of our own: another architecture than the host's, and no need to be root. */
async function aptConfiguration(architecture: DebianArchitecture): Promise<string> {
  const root = path.join(CACHE, 'apt', architecture);
  await mkdir(path.join(root, 'lists/partial'), { recursive: true });
  await mkdir(path.join(root, 'archives/partial'), { recursive: true });
  const file = path.join(root, 'apt.conf');
  await writeFile(
    file,
    `APT::Architecture "${architecture}";
#clear APT::Architectures;
APT::Architectures { "${architecture}"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State::lists "${root}/lists";
Dir::State::status "/dev/null";
Dir::Cache "${root}";
`,
  );
  return file;
}

async function resolvePackage(wanted: DebianFile, env: NodeJS.ProcessEnv): Promise<string> {
  if (!wanted.dependency) return wanted.package;
  const { stdout } = await run('apt-cache', ['depends', wanted.package], { env });
  const found = stdout.split(/\s+/).find((word) => wanted.dependency!.test(word));
  if (!found) throw new Error(`${wanted.package} depends on nothing like ${wanted.dependency}`);
  return found;
}

/** Downloads the package into `directory`. It may fail where the lists are absent or older than the archive. */
async function download(wanted: DebianFile, directory: string, env: NodeJS.ProcessEnv): Promise<string> {
  const name = await resolvePackage(wanted, env);
  process.stderr.write(`guests: fetching Debian's ${name} (${wanted.architecture}), once\n`);
  await run('apt-get', ['download', '-q', name], { env, cwd: directory });
  const found = (await readdir(directory)).find((file) => file.endsWith('.deb'));
  if (!found) throw new Error('apt-get download left no package');
  return path.join(directory, found);
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1)!;

/** The part of a failure that tells something: the last line of what the command printed, or its message. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && error.code === 'ENOENT')
    return `${'path' in error ? error.path : 'apt'} is not on this machine`;
  return ('stderr' in error && lastLine(String(error.stderr))) || error.message;
}

/** The environment in which apt works on an architecture's packages without touching the machine's own state. */
export async function aptEnvironment(architecture: DebianArchitecture): Promise<NodeJS.ProcessEnv> {
  return { ...process.env, APT_CONFIG: await aptConfiguration(architecture), LC_ALL: 'C' };
}

/** Tries; where that fails, once more with new package lists. A mirror that lacks one list is no failure: others may suffice. */
export async function withPackageLists<T>(env: NodeJS.ProcessEnv, attempt: () => Promise<T>): Promise<T> {
  try {
    return await attempt();
  } catch {
    process.stderr.write('guests: updating the package lists\n');
  }
  const update = run('flock', [`${env.APT_CONFIG}.lock`, 'apt-get', '-q', 'update'], { env });
  const problem = await update.then(({ stderr }) => lastLine(stderr), explain);
  try {
    return await attempt();
  } catch (error) {
    throw new Error(problem ? `${explain(error)} (updating the package lists: ${problem})` : explain(error));
  }
}

async function fetchInto(target: string, wanted: DebianFile): Promise<void> {
  const env = await aptEnvironment(wanted.architecture);
  const directory = await mkdtemp(path.join(CACHE, 'fetch-'));
  try {
    const archive = await withPackageLists(env, () => download(wanted, directory, env));
    const content = path.join(directory, 'content');
    const extract = 'dpkg-deb --fsys-tarfile "$1" | tar -xO --wildcards "$2" > "$3"';
    await run('sh', ['-c', extract, 'extract', archive, wanted.pattern, content]);
    if ((await stat(content)).size === 0) throw new Error(`it holds no ${wanted.pattern}`);
    await rename(content, target);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * The path of `wanted` in the cache under `name`, fetched if it is not there yet.
 *
 * @throws DebianUnavailable where there is no apt, no network or no such package
 */
export async function debianFile(name: string, wanted: DebianFile): Promise<string> {
  const target = path.join(CACHE, name);
  if (existsSync(target)) return target;
  await mkdir(path.dirname(target), { recursive: true });
  try {
    await fetchInto(target, wanted);
  } catch (error) {
    throw new DebianUnavailable(`Debian's package ${wanted.package}:${wanted.architecture}: ${explain(error)}`);
  }
  return target;
}
