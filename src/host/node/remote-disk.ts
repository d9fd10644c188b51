/** Disks and files on servers, for a host that runs Node. */
import { constants, open } from 'node:fs/promises';
import { isHttp } from '../../storage/http/address.ts';
import type { HttpDisk } from '../../storage/http/http-disk.ts';
import { openHttpDisk, readHttpFile } from '../../storage/http/open-http.ts';
import { RemoteContent } from '../../storage/http/remote-content.ts';
import { UserError } from '../../user-error.ts';
import { outputProblem } from './file-problem.ts';
import { nodeHttp } from './http.ts';
import { NodeFile } from './node-file.ts';

interface Address {
  /** Without user and password, which belong into no message. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Opens what lies at an address for reading in blocks: a raw disk, or a file of another format. @throws UserError */
export async function openRemoteDisk(
  text: string,
  cache: string | undefined,
  report: (line: string) => void,
): Promise<HttpDisk> {
  const { url, headers } = parseAddress(text);
  const keep = cache === undefined ? undefined : await openCache(cache);
  return await openHttpDisk(url, nodeHttp, { report, headers, ...(keep && { keep }) });
}

/** Reads what lies at an address. @throws UserError */
export async function readRemoteFile(text: string): Promise<Uint8Array> {
  const { url, headers } = parseAddress(text);
  return await readHttpFile(url, nodeHttp, headers);
}

/** What lies at an address, to be read at any place or from start to end. @throws UserError */
export function openRemoteContent(text: string): Promise<RemoteContent> {
  const { url, headers } = parseAddress(text);
  return RemoteContent.open(url, nodeHttp, headers);
}

/** An address as it may be shown. */
export const shownAddress = (text: string): string => parseAddress(text).url;

/** Whether a name is that of something on a server. */
export const isAddress = isHttp;

/** The name of a file, or an address, as it may be shown. */
export const shownName = (name: string): string => (isHttp(name) ? shownAddress(name) : name);

/** User and password of an address go into a header. @throws UserError for what is no address */
function parseAddress(text: string): Address {
  if (!URL.canParse(text)) throw new UserError(`${text}: this is no address: write http://HOST/PATH`);
  const url = new URL(text);
  const { username, password } = url;
  if (username === '' && password === '') return { url: text, headers: {} };
  [url.username, url.password] = ['', ''];
  const secret = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { url: url.href, headers: { authorization: `Basic ${Buffer.from(secret).toString('base64')}` } };
}

async function openCache(path: string): Promise<NodeFile> {
  try {
    return new NodeFile(await open(path, constants.O_RDWR | constants.O_CREAT));
  } catch (error) {
    throw outputProblem(path, error);
  }
}
