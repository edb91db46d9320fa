import type { IncomingHttpHeaders } from 'node:http';
import { formatAddress, type Settings } from '../config/settings.js';
import { Problem } from '../operations/problems.js';

/*
 * The public addresses of files and uploads. Each begins with a base, which has no trailing slash: `publicUrl`
 * (`https://example.com/files`), or scheme and host of the request.
 */

/**
 * The base of the addresses in the answer to a request. Throws a Problem (`bad-request`) if the Host header is not a host
 * name.
 */
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

/** The path of a base: `/files`; empty if it has none. */
export function publicPath(base: string): string {
  return base.replace(/^[a-z]+:\/\/[^/]*/, '');
}

/** The public address of a file; without the group if the settings say so. */
export function fileUrl({ urlHasGroup }: Pick<Settings, 'urlHasGroup'>, base: string, id: string): string {
  return `${base}/${urlHasGroup ? id : id.slice(id.indexOf('/') + 1)}`;
}

/**
 * The address of a resumable upload, without the host, because the client may reach the node by another one. `path` is the
 * path on this node.
 */
export function uploadLocation(base: string, path: string): string {
  return publicPath(base) + path;
}
