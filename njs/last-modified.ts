/*
 * What runs inside nginx for every download, and nothing else: njs 0.7.9 makes a fresh context for each request and runs
 * all top-level code that the location imports. Each import, function and method call shows in the downloads per second.
 */

/** `$fidfs_last_modified`: the ID's creation second, which is bytes 4 to 7 of its key. */
function lastModified(r: NginxHTTPRequest): string {
  // Characters 5 to 12 of the name; bytes 3 to 8.
  const b = Buffer.from(r.variables.fidfs_created as string, 'base64url');
  const created = (((b[1] as number) * 256 + (b[2] as number)) * 256 + (b[3] as number)) * 256 + (b[4] as number);
  return new Date(created * 1000).toUTCString();
}

export default { lastModified: lastModified };
