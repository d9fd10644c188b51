/** `trapeze web`: serves the page, or writes it into a folder. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { outputProblem } from '../host/node/file-problem.ts';
import { StaticFiles } from '../host/node/static-server.ts';
import { UserError } from '../user-error.ts';
import { EXIT } from './exit-codes.ts';

export interface WebFlags {
  readonly port: string;
  readonly host: string;
  readonly output?: string;
}

const MOST_PORT = 65_535;

/** Serves until a signal; the result is the exit code. */
export async function web({ port, host, output }: WebFlags): Promise<number> {
  if (output === undefined) await serve(parsePort(port), host);
  else write(output);
  return EXIT.success;
}

/** The port first: the page takes a moment. */
async function serve(port: number, host: string): Promise<void> {
  const server = createServer();
  await listen(server, port, host);
  const closed = ended(server);
  const page = findPage();
  try {
    const files = new StaticFiles(page.folder);
    server.on('request', (request, response) => void files.answer(request, response));
    console.log(`trapeze: ${addressOf(server, host)} (Ctrl-C ends)`);
    await closed;
  } finally {
    server.close();
    page.remove();
  }
}

function parsePort(text: string): number {
  const port = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (port <= MOST_PORT) return port;
  throw new UserError(`--port: '${text}' is not a port: choose 0 to ${MOST_PORT}`);
}

interface Page {
  readonly folder: string;
  remove(): void;
}

/** In the package it is there, in a checkout it is made of the sources as they are. */
function findPage(): Page {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  if (!import.meta.url.endsWith('.ts')) return { folder: path.join(root, 'dist/web'), remove: () => {} };
  const scratch = mkdtempSync(path.join(tmpdir(), 'trapeze-web-'));
  const remove = (): void => rmSync(scratch, { recursive: true, force: true });
  const folder = path.join(scratch, 'page');
  console.error('trapeze: building the page');
  const script = path.join(root, 'scripts/build-web.ts');
  const { status } = spawnSync(process.execPath, [script, '--outdir', folder], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status === 0) return { folder, remove };
  remove();
  throw new UserError('the page could not be built: see above; `npm run setup` installs what it needs');
}

function write(output: string): void {
  if (existsSync(output)) throw new UserError(`--output: ${output} is there already: name a new folder, or remove it`);
  const page = findPage();
  try {
    cpSync(page.folder, output, { recursive: true });
  } catch (error) {
    throw outputProblem(output, error);
  } finally {
    page.remove();
  }
  console.log(`trapeze: the page is in ${output}`);
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenProblem(error, port, host)));
    server.listen(port, host, resolve);
  });
}

function listenProblem({ code, message }: NodeJS.ErrnoException, port: number, host: string): UserError {
  switch (code) {
    case 'EADDRINUSE':
      return new UserError(`port ${port} is taken: choose another with --port, or --port 0 for any free one`);
    case 'EACCES':
      return new UserError(`port ${port} needs more rights than you have: choose one above 1023 with --port`);
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new UserError(`--host: this machine has no address '${host}': choose 127.0.0.1 or 0.0.0.0`);
    default:
      return new UserError(`cannot listen at ${host} port ${port}: ${message}`);
  }
}

function addressOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo;
  const everybody = host === '0.0.0.0' || host === '::';
  const name = everybody ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}/`;
}

function ended(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.once('close', resolve);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => {
        server.close();
        server.closeAllConnections();
      });
  });
}
