import { createHmac } from 'node:crypto';

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
