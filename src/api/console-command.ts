/** Runs commands in a guest through a shell on its console, for guests that have nothing better. */
import { UserError } from '../user-error.ts';
import type { Machine } from './machine.ts';

export interface CommandResult {
  /** What it printed, on both of its outputs. */
  readonly output: string;
  /** Its exit status. */
  readonly status: number;
}

/** Line editors of shells take no longer lines: BusyBox 1,023 characters. */
const LONGEST = 900;
const DEFAULT_SECONDS = 60;

/**
 * Types a command at the shell that waits on the console, in a `sh` of its own, and resolves when it has ended.
 * The shell must be at its prompt.
 * @throws UserError when the command is too long to be typed, or `Error` when it takes longer than `timeout` seconds.
 */
export async function consoleCommand(
  machine: Machine,
  command: string,
  { timeout = DEFAULT_SECONDS, mark }: { readonly timeout?: number | undefined; readonly mark: string },
): Promise<CommandResult> {
  const quoted = `'${command.replaceAll("'", `'\\''`)}'`;
  // The marks are typed in two parts, so that the echo of what is typed is not taken for them.
  const line = ` echo "${mark}""<"; sh -c ${quoted}; echo "${mark}"">$?"`;
  if (new TextEncoder().encode(line).length > LONGEST)
    throw new UserError(
      `the command is too long to be typed at a console: put it into a script (at most ${LONGEST} bytes)`,
    );
  machine.write(`${line}\n`);
  const deadline = { timeout };
  await machine.waitForText(new RegExp(`${mark}<\r?\n`), deadline);
  const { before, groups } = await machine.waitForText(new RegExp(`${mark}>(\\d+)\r?\n`), deadline);
  return { output: before.replaceAll('\r\n', '\n'), status: Number(groups[0]) };
}
