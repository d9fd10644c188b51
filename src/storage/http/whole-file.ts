/** Files that are read whole. */
import { joined } from '../../joined.ts';
import type { HttpLink } from './exchange.ts';
import type { HttpResponse } from './platform.ts';
import { HttpProblem } from './problem.ts';

/** Milliseconds for a file that is read whole: as long as bytes come, patience is large. */
const WHOLE_MS = 600_000;

/** Asks once for a file of at most `limit` bytes. @throws HttpProblem */
export async function fetchWhole(url: string, link: HttpLink, limit: number): Promise<Uint8Array> {
  return await link.exchange(
    url,
    {},
    async (response, next) => {
      if (response.status !== 200) throw link.statusProblem(response);
      return await readBody(response, next, limit, `the file is larger than ${limit} bytes`);
    },
    WHOLE_MS,
  );
}

/** The body of an answer; `tooLarge` says what to tell when it has more than `limit` bytes. @throws HttpProblem */
export async function readBody(
  response: HttpResponse,
  next: () => Promise<Uint8Array | undefined>,
  limit: number,
  tooLarge: string,
): Promise<Uint8Array> {
  const length = announcedLength(response);
  if (length !== undefined && length > limit) throw new HttpProblem('refused', tooLarge);
  const parts: Uint8Array[] = [];
  let size = 0;
  for (let part = await next(); part !== undefined; part = await next()) {
    parts.push(part);
    size += part.length;
    if (size > limit) throw new HttpProblem('refused', tooLarge);
  }
  if (length !== undefined && size !== length)
    throw new HttpProblem('again', `the server sent ${size} of ${length} bytes`);
  return joined(parts);
}

/** How long a whole file is, where the server tells it: of an encoded body the header has another length than the one read. */
export function announcedLength(response: HttpResponse): number | undefined {
  const announced = response.headers.get('content-length');
  return announced === null || isEncoded(response) ? undefined : Number(announced);
}

export const isEncoded = ({ headers }: HttpResponse): boolean =>
  !['', 'identity'].includes(headers.get('content-encoding')?.trim().toLowerCase() ?? '');
