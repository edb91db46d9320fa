import type { IncomingMessage } from 'node:http';
import querystring from 'node:querystring';

const PREFIX = '/upload/';

/** The path of an address without its query, and the query with its question mark. */
function split(address: string): [path: string, query: string] {
  const end = address.indexOf('?');
  return end < 0 ? [address, ''] : [address.slice(0, end), address.slice(end)];
}

/** The address by which a request finds its route: `/upload/` and `PUT /upload/<name>` are uploads like any other. */
export function routedAddress({ url = '', method }: IncomingMessage): string {
  if (!url.startsWith(PREFIX)) return url;
  const [path, query] = split(url);
  return path === PREFIX || method === 'PUT' ? `/upload${query}` : url;
}

/** The file name in the address of `PUT /upload/<name>`; undefined when there is none. */
export function nameInAddress(address: string): string | undefined {
  if (!address.startsWith(PREFIX)) return undefined;
  // It may not be UTF-8, and is taken as far as it can be read.
  return querystring.unescape(split(address)[0].slice(PREFIX.length)) || undefined;
}
