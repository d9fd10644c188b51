/** Boots guests through the library, in this process. */
import { Machine, type MachineOptions, type Result, type Statistics } from '../../src/host/node/index.ts';

export interface Booted {
  readonly result: Result;
  /** All that the guest printed, on either console. */
  readonly text: string;
  readonly statistics: Statistics;
  readonly crashReport: string;
}

/** What is waited for, and what is typed then. */
export type Step = readonly [shown: string | RegExp, typed: string];

/** The prompt of the embedded guest's shell. */
export const PROMPT = 'trapeze:~# ';

/** A guest that does nothing any more ends as `timedOut`; a boot of a stock kernel takes a quarter of this. */
const PATIENCE_S = 120;

/** Runs a machine to its end. A step that is waited for in vain fails with what was printed instead. */
export async function boot(options: MachineOptions, steps: readonly Step[] = []): Promise<Booted> {
  const machine = await Machine.create({ timeout: PATIENCE_S, ...options });
  let text = '';
  machine.onOutput((bytes) => (text += Buffer.from(bytes).toString('latin1')));
  const typing = type(machine, steps);
  const [result] = await Promise.all([machine.run(), typing.catch(() => machine.stop())]);
  await typing.catch((error: Error) => {
    throw new Error(`${error.message}\nThe guest printed:\n${text}`, { cause: error });
  });
  return { result, text, statistics: machine.statistics(), crashReport: machine.crashReport() };
}

async function type(machine: Machine, steps: readonly Step[]): Promise<void> {
  for (const [shown, typed] of steps) {
    await machine.waitForText(shown, { timeout: PATIENCE_S });
    machine.write(typed);
  }
}

/**
 * Boots the embedded guest, types a line of shell at its prompt and powers off; returns what the line printed.
 * `steps` come while the line runs.
 */
export async function shell(line: string, options: MachineOptions = {}, steps: readonly Step[] = []): Promise<string> {
  // Arithmetic, so that the echo of what is typed is not taken for the marks.
  const { result, text } = await boot({ memory: '64M', ...options }, [
    [PROMPT, `echo "<$((1))<"; ${line}; echo ">$((2))>"; poweroff\n`],
    ['<1<', ''],
    ...steps,
  ]);
  const printed = /<1<\n(.*)>2>/s.exec(text.replaceAll('\r', ''))?.[1];
  if (result.kind !== 'poweredOff' || printed === undefined)
    throw new Error(`the run ended as ${result.kind}:\n${text}`);
  return printed.trim();
}
