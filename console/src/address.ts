/*
 * The page lies in /console/ of its server, wherever a proxy has put that: all that it asks for is addressed from there.
 */

/** What addresses on this server begin with; ends in a slash. */
const BASE = new URL('..', location.href);

/** The same without the slash, as `publicUrl` in the server's settings. */
export const serverUrl = BASE.href.slice(0, -1);

/** Tells servers of one host apart in what the browser keeps: `/files`, empty for one that has the host for itself. */
export const serverPath = BASE.pathname.slice(0, -1);

/** The address of something on this server; `path` begins with no slash. */
export function addressOf(path: string): string {
  return BASE.href + path;
}
