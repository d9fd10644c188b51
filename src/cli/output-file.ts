/** Files that a command writes, and those that it needs only at its end. */
import { accessSync, constants, openSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileProblem, outputProblem } from '../host/node/file-problem.ts';

/** Opens a file before the run: a name that cannot be written should not cost a run. @throws UserError */
export function openForWriting(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (error) {
    throw outputProblem(path, error);
  }
}

/** Looks, before the run, whether a file can be made there that replaces the one of that name at the end. @throws UserError */
export function mustBeWritable(path: string): void {
  try {
    accessSync(dirname(path), constants.W_OK);
  } catch (error) {
    throw outputProblem(path, error);
  }
}

/** Looks, before the run, whether a file that is read at the end is there. @throws UserError */
export function mustBeReadable(path: string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw fileProblem(path, error);
  }
}

/** @throws UserError when the file, whose name is `path`, cannot take it. */
export function writeTo(file: number, path: string, content: string): void {
  try {
    writeFileSync(file, content);
  } catch (error) {
    throw outputProblem(path, error);
  }
}
