/*
 * What runs inside nginx for every download, and nothing else: njs 0.7.9 makes a fresh context for each request and runs
 * all top-level code that the location imports.
 */
import createdOf from '../file-id/created.js';

/** `$fidfs_last_modified`: the ID's creation second. */
function lastModified(r: NginxHTTPRequest): string {
  return new Date(createdOf(r.variables.fidfs_created as string) * 1000).toUTCString();
}

export default { lastModified: lastModified };
