/*
 * FastDFS's nginx module can require an anti-steal token (`?token=…&ts=…`) with each download. Without `fastdfsTokenKey` no token
 * is checked; the first such download of a FastDFS file then logs a warning, because such files are public after a migration.
 */
// biome-ignore lint/style/useNodejsImportProtocol: njs has no node: prefix
import fs from 'fs';

/** The JSON in `$fidfs_token_check`, written by nginx/downloads.ts. */
interface TokenCheck {
  /** Path of the file that records that the warning was logged; each start of nginx by fidfs removes it. */
  said: string;
  /** The server ids of the cluster. */
  servers: number[];
}

/**
 * `$fidfs_token_seen`, for a download with a token: logs the warning once if the file exists on this node and FastDFS created
 * its ID. Always returns an empty string.
 */
function seen(r: NginxHTTPRequest): string {
  const check: TokenCheck = JSON.parse(r.variables.fidfs_token_check as string);
  if (exists(check.said) || !isForeign(r.variables.fidfs_file as string, check.servers)) return '';
  if (!exists(r.variables.request_filename as string)) return '';
  try {
    fs.writeFileSync(check.said, '', { flag: 'wx' });
  } catch (error) {
    if (exists(check.said)) return ''; // another worker has created it
    r.error(`fidfs: cannot make ${check.said}, so the following warning will be repeated: ${(error as Error).message}`);
  }
  const words =
    'a file of FastDFS was asked for with its anti-steal token, which is not checked without fastdfsTokenKey';
  r.error(`fidfs: ${words}: everybody who knows its ID can read it; see docs/operating.md (said once)`);
  return '';
}

function exists(path: string): boolean {
  try {
    fs.accessSync(path);
    return true;
  } catch (_error) {
    return false; // also if it cannot be accessed; nginx does not send it then either
  }
}

/** Whether no node of the cluster created the file `AB/CD/<name>`: its source is an IP address or another server id. */
function isForeign(file: string, servers: number[]): boolean {
  const source = Buffer.from(file.substring(6, 12), 'base64url').readUInt32LE(0);
  return servers.indexOf(source) < 0;
}

export default { seen: seen };
