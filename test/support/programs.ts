/** Programs that compile their code while they run, in a guest and on the host: both print the same. */
import { readFileSync } from 'node:fs';
import { type DebianRoot, debianRoot, jobInitramfs } from './debian-root.ts';
import { orMissing } from './guests.ts';

/** A language's runtime from Debian's packages, and the programs that it runs. */
export interface Runtime {
  readonly name: string;
  readonly packages: readonly string[];
  /** How a shell in the guest runs the programs; on the host they come by standard input. */
  readonly command: readonly string[];
  readonly programs: string;
}

const source = (name: string): string => readFileSync(new URL(`../guest/${name}`, import.meta.url), 'utf8');

export const LUAJIT: Runtime = {
  name: 'luajit',
  packages: ['luajit'],
  command: ['luajit', '-'],
  programs: source('programs.lua'),
};
export const NODE: Runtime = {
  name: 'nodejs',
  packages: ['nodejs'],
  command: ['node', '-'],
  programs: source('programs.js'),
};

export const rootOf = ({ name, packages }: Runtime): Promise<DebianRoot | { readonly missing: string }> =>
  orMissing(debianRoot(name, packages));

/** The initramfs with the job that runs them. */
export const programsJob = ({ command, programs }: Runtime): Uint8Array =>
  jobInitramfs(`${command.join(' ')} < /programs`, { programs });

/** What programs printed on standard error: the seconds that each took. */
export const secondsIn = (text: string): string[] =>
  [...text.matchAll(/^SECONDS (\S+ [\d.]+)$/gm)].map(([, found]) => found!);

/** The results alone. */
export const resultsIn = (text: string): string => text.replaceAll(/^SECONDS .*\n/gm, '');
