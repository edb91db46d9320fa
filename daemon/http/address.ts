import type { IncomingMessage } from 'node:http';
import querystring from 'node:querystring';

const PREFIX = '/upload/';

/** Splits an address into its path and its query; the query includes its question mark. */
export function splitAddress(address: string): [path: string, query: string] {
  const end = address.indexOf('?');
  return end < 0 ? [address, ''] : [address.slice(0, end), address.slice(end)];
}

/** The address that routing uses: maps `/upload/` and `PUT /upload/<name>` to `/upload`, keeps all others. */
export function routedAddress({ url = '', method }: IncomingMessage): string {
  if (!url.startsWith(PREFIX)) return url;
  const [path, query] = splitAddress(url);
  return path === PREFIX || method === 'PUT' ? `/upload${query}` : url;
}

/** The unescaped file name in the address of `PUT /upload/<name>`; undefined if there is none. */
export function nameInAddress(address: string): string | undefined {
  if (!address.startsWith(PREFIX)) return undefined;
  // Does not throw for escapes that are not UTF-8.
  return querystring.unescape(splitAddress(address)[0].slice(PREFIX.length)) || undefined;
}
