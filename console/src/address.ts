/*
 * Addresses of requests are relative to the page, /console/ of its node, because a proxy may serve the node below a path.
 */

/** Base address of this server, with a trailing slash. */
const BASE = new URL('..', location.href);

/** Base address of this server without the trailing slash, as `publicUrl` in the server's settings. */
export const serverUrl = BASE.href.slice(0, -1);

/** Path of the server, such as `/files`, empty for none. Part of keys in browser storage, which servers of one host share. */
export const serverPath = BASE.pathname.slice(0, -1);

/** Returns the address of `path`, which has no leading slash, on this server. */
export function addressOf(path: string): string {
  return BASE.href + path;
}
