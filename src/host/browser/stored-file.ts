/** Files that a browser keeps for a page from visit to visit. */
import type { SizedFile } from '../../storage/file.ts';
import { openIndexedFile } from './indexed-file.ts';
import { openOpfsFile, TakenError } from './opfs-file.ts';

/** A machine that was ended at once gives its files back a moment later. */
const ATTEMPTS = 10;
const PAUSE_MS = 100;

/** Opens a file of the page's own, made when it is not there. Only in workers. @throws UserError */
export async function openStoredFile(name: string): Promise<SizedFile> {
  for (let attempt = 1; ; attempt++) {
    try {
      return (await openOpfsFile(name)) ?? (await openIndexedFile(name));
    } catch (error) {
      if (!(error instanceof TakenError) || attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
