import type { IncomingHttpHeaders } from 'node:http';
import { formatAddress, type Settings } from '../config/settings.js';
import { Problem } from './problems.js';

/*
 * The addresses under which clients find what is here. Each begins with a base, which has no slash at its end: `publicUrl`
 * (`https://example.com/files`), or what the request says of itself.
 */

/** The base of what this request is told. Throws a Problem when its own Host would make no address. */
export function publicBase(
  { headers }: { headers: IncomingHttpHeaders },
  { publicUrl, listen }: Pick<Settings, 'publicUrl' | 'listen'>,
): string {
  if (publicUrl !== undefined) return publicUrl;
  const scheme = headers['x-fidfs-scheme'] === 'https' ? 'https' : 'http';
  const host = headers.host ?? formatAddress(listen);
  if (!/^(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d{1,5})?$/.test(host)) {
    throw new Problem('bad-request', 'The Host header must be a host name, with a port or without.');
  }
  return `${scheme}://${host}`;
}

/** The path of a base, below which a proxy in front may serve this node: `/files`; empty where there is none. */
export function publicPath(base: string): string {
  return base.replace(/^[a-z]+:\/\/[^/]*/, '');
}

/** Where a file is. */
export function fileUrl(base: string, id: string): string {
  return `${base}/${id}`;
}

/** Where an upload in pieces goes on, without the host: its client may know the node by another one. `path` is that on this node. */
export function uploadLocation(base: string, path: string): string {
  return publicPath(base) + path;
}
