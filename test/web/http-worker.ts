/** What the tests of reading from other sites run in a worker. */
import { download } from '../../src/host/browser/download.ts';
import { browserHttp } from '../../src/host/browser/http.ts';
import { openHttpDisk } from '../../src/storage/http/open-http.ts';
import { PATIENCE } from '../../src/storage/http/platform.ts';

/** What was read of a disk in words, with the lines that a person got, or why it could not be. */
async function readDisk(url: string): Promise<string> {
  const lines: string[] = [];
  const patience = { ...PATIENCE, backoffMs: 1 };
  const disk = await openHttpDisk(url, browserHttp, { report: (line) => lines.push(line), patience });
  const sums: number[] = [];
  for (const offset of [0, disk.size - 70_000]) {
    const bytes = new Uint8Array(70_000);
    await disk.read(offset, bytes);
    sums.push(bytes.reduce((sum, byte) => sum + byte, 0));
  }
  await disk.close();
  return [`${disk.size}`, `${disk.identity}`, ...sums, ...lines].join(' ');
}

const ACTIONS = {
  disk: readDisk,
  file: async (url: string) => `${(await download({ url, name: 'file' }, () => {})).length}`,
} as const;

self.onmessage = ({ data: { action, url } }: MessageEvent<{ action: keyof typeof ACTIONS; url: string }>) => {
  ACTIONS[action](url).then(
    (result) => self.postMessage(result),
    (error: Error) => self.postMessage(`${error.name}: ${error.message}`),
  );
};
