/** What the numbers were measured on. */
import { readFileSync } from 'node:fs';
import os from 'node:os';

export interface MachineInfo {
  readonly processor: string;
  readonly processors: number;
  readonly memoryMiB: number;
  readonly system: string;
  /** One-minute load average before the first measurement: other work makes all numbers worse. */
  readonly load: number;
  readonly date: string;
}

export function processorName(): string {
  return os.cpus()[0]?.model.trim() ?? 'unknown processor';
}

/** Trapeze's version. */
export function version(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

export function machineInfo(): MachineInfo {
  return {
    processor: processorName(),
    processors: os.availableParallelism(),
    memoryMiB: Math.round(os.totalmem() / 2 ** 20),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    load: os.loadavg()[0],
    date: new Date().toISOString(),
  };
}
