/** How a machine ended, in a line for a person. */
import type { Ending } from './vm.ts';

export function endingLine(ending: Ending): string {
  if (ending.kind === 'failed') return ending.expected ? ending.line : `an internal error of Trapeze: ${ending.line}`;
  const { result } = ending;
  switch (result.kind) {
    case 'poweredOff':
      return 'the guest has switched the machine off';
    case 'reset':
      return 'the guest has reset the machine';
    case 'debugExit':
      return `the guest has ended the run with code ${result.code}`;
    case 'shutdown':
      return 'triple fault: the guest is beyond help';
    case 'timedOut':
      return 'the time limit has ended the run';
    case 'stopped':
      return 'the machine was stopped';
    default:
      return result satisfies never;
  }
}
