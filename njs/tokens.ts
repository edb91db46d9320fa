/*
 * FastDFS's module for nginx can demand a token (`?token=…&ts=…`) with each download. Nobody checks it here, and who
 * moves here with such files must learn that they are public now.
 */
// biome-ignore lint/style/useNodejsImportProtocol: njs knows no other name
import fs from 'fs';

/** What nginx/downloads.ts writes into `$fidfs_token_check`. */
interface TokenCheck {
  /** The file that is made when it has been said; each start removes it. */
  said: string;
  /** The server ids of the cluster. */
  servers: number[];
}

/**
 * `$fidfs_token_seen`, for a download with a token: says in the log, once, that it is not checked, if the file is here and
 * is one that FastDFS made. Always empty.
 */
function seen(r: NginxHTTPRequest): string {
  const check: TokenCheck = JSON.parse(r.variables.fidfs_token_check as string);
  if (exists(check.said) || !isForeign(r.variables.fidfs_file as string, check.servers)) return '';
  if (!exists(r.variables.request_filename as string)) return '';
  try {
    fs.writeFileSync(check.said, '', { flag: 'wx' });
  } catch (error) {
    if (exists(check.said)) return ''; // another worker was faster
    r.error(`fidfs: cannot make ${check.said}, so what follows is said again: ${(error as Error).message}`);
  }
  const words = 'a file of FastDFS was asked for with its anti-steal token, which is not checked here';
  r.error(`fidfs: ${words}: everybody who knows its ID can read it; see docs/operating.md (said once)`);
  return '';
}

function exists(path: string): boolean {
  try {
    fs.accessSync(path);
    return true;
  } catch (_error) {
    return false; // also what must not be read: then nginx does not send it either
  }
}

/** Whether a file, AB/CD/<name>, was made by no node of the cluster: its source is an address, or another server id. */
function isForeign(file: string, servers: number[]): boolean {
  const source = Buffer.from(file.substring(6, 12), 'base64url').readUInt32LE(0);
  return servers.indexOf(source) < 0;
}

export default { seen: seen };
