/** Files that a browser keeps for a page from visit to visit. */
import type { SizedFile } from '../../storage/file.ts';
import { openIndexedFile } from './indexed-file.ts';
import { openOpfsFile } from './opfs-file.ts';

/** Opens a file of the page's own, made when it is not there. Only in workers. @throws UserError */
export async function openStoredFile(name: string): Promise<SizedFile> {
  return (await openOpfsFile(name)) ?? (await openIndexedFile(name));
}
