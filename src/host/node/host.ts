/** Node as the place where machines run. */
import { readFile } from 'node:fs/promises';
import type { Host } from '../../api/host.ts';
import { deflate } from '../../snapshot/compression.ts';
import { isHttp } from '../../storage/http/address.ts';
import { embeddedGuest } from './embedded-guest.ts';
import { engineCode } from './engine-code.ts';
import { fileProblem } from './file-problem.ts';
import { openDisk } from './files.ts';
import { readRemoteFile } from './remote-disk.ts';
import { nodeHost as services } from './time.ts';

export const nodeHost: Host = {
  ...services,
  openDisk,
  embeddedGuest,
  engineCode,
  // Node compresses in threads of its own.
  packer: async () => ({ deflate, end: () => {} }),
  async readFile(path) {
    if (isHttp(path)) return await readRemoteFile(path);
    try {
      return await readFile(path);
    } catch (error) {
      throw fileProblem(path, error);
    }
  },
};
