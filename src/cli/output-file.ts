/** Files that a command writes. */
import { openSync, writeFileSync } from 'node:fs';
import { fileProblem } from '../host/node/file-problem.ts';

/** Opens a file before the run: a name that cannot be written should not cost a run. @throws UserError */
export function openForWriting(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (error) {
    throw fileProblem(path, error);
  }
}

/** @throws UserError when the file, whose name is `path`, cannot take it. */
export function writeTo(file: number, path: string, content: string): void {
  try {
    writeFileSync(file, content);
  } catch (error) {
    throw fileProblem(path, error);
  }
}
