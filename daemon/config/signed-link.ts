import { createHash, createHmac } from 'node:crypto';
import type { Settings } from './settings.js';

/*
 * Signed links to private files; njs/link-check.ts checks them, and docs/http.md describes them.
 */

/** What a link gives. */
export interface LinkTarget {
  /** The whole ID, with its group. */
  id: string;
  /** When the link ends, in seconds since 1970. */
  expires: number;
  /** The name under which a browser saves the file (`?download=`). */
  download?: string | undefined;
  /** The preset of the picture that is made of the file; undefined for the file itself. */
  preset?: string | undefined;
}

/** Returns the query of a signed link, with its question mark. */
export function linkQuery(key: string, { id, expires, download = '', preset = '' }: LinkTarget): string {
  const text = `fidfs\n${id}\n${expires}\n${download}\n${preset}`;
  const signature = createHmac('sha256', key).update(text).digest('base64url');
  const name = download === '' ? '' : `&download=${encodeURIComponent(download)}`;
  return `?expires=${expires}&signature=${signature}${name}`;
}

/**
 * The query that the address of a file of this node's group needs, with its question mark: FastDFS's token, whose time
 * `fastdfsTokenTtl` gives, or a signature. Without need for either, the download name alone, or an empty text.
 */
export function neededQuery(
  { fastdfsTokenKey, downloads, downloadKey }: Pick<Settings, 'fastdfsTokenKey' | 'downloads' | 'downloadKey'>,
  target: LinkTarget,
): string {
  const { id, download = '' } = target;
  const name = download === '' ? '' : `download=${encodeURIComponent(download)}`;
  if (fastdfsTokenKey !== undefined) {
    return fastdfsTokenQuery(fastdfsTokenKey, id) + (name === '' ? '' : `&${name}`);
  }
  const [key] = downloadKey ?? [];
  if (downloads === 'signed' && key !== undefined) return linkQuery(key, target);
  return name === '' ? '' : `?${name}`;
}

/** Returns the query with FastDFS's token of a file, made now. */
export function fastdfsTokenQuery(key: string, id: string): string {
  const now = Math.floor(Date.now() / 1000);
  const name = id.slice(id.indexOf('/') + 1);
  return `?token=${createHash('md5').update(`${name}${key}${now}`).digest('hex')}&ts=${now}`;
}
