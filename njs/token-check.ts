/*
 * FastDFS's anti-steal tokens: `?token=<32 hex digits>&ts=<seconds>`. The token is the MD5 of the name without the group, the
 * key and `ts`.
 */
// biome-ignore lint/style/useNodejsImportProtocol: njs has no node: prefix
import crypto from 'crypto';
import marks from './mark.js';

/**
 * `$fidfs_token_state`: an empty string if the request may have the file, otherwise `missing` (without `token` or `ts`) or `wrong`
 * (another token, or an expired one). A request of a peer, which has checked the token, has a valid read mark for this node. The
 * variables are written by nginx/tokens.ts; njs reads them faster than JSON, and regular expressions are slow in it.
 */
function state(r: NginxHTTPRequest): string {
  if (r.method !== 'GET' && r.method !== 'HEAD') return '';
  const uri = addressOf(r);
  const mark = r.headersIn['X-Fidfs-Peer'];
  const readKey = mark && r.variables.fidfs_read_key;
  if (mark && readKey) {
    if (marks.receiverOf(mark, readKey, uri.substring(1), [r.variables.fidfs_server_id as string])) return '';
  }
  const token = r.variables.arg_token;
  const text = r.variables.arg_ts;
  if (!token || !text) return 'missing';
  // C's atoi, with which FastDFS reads it: a signed 32-bit integer, 0 without a number.
  const ts = parseInt(text, 10) | 0;
  if (ts !== 0 && Math.floor(Date.now() / 1000) - ts > Number(r.variables.fidfs_token_ttl)) return 'wrong';
  const name = uri.substring(uri.indexOf('/', 1) + 1);
  const key = Buffer.from(r.variables.fidfs_token_key as string, 'base64');
  if (marks.same(tokenOf(name, key, ts), token)) return '';
  // The link may have been signed as it is without the store path, which is then the first.
  const isFirst = name.substring(0, 4) === 'M00/';
  return isFirst && marks.same(tokenOf(name.substring(4), key, ts), token) ? '' : 'wrong';
}

/** Returns the address of the file: without the prefix of an internal location, and without that of its picture. */
function addressOf(r: NginxHTTPRequest): string {
  if (r.uri.charAt(1) === '.') return r.uri.substring('/.fidfs/more'.length);
  return r.variables.fidfs_preset ? `/${r.variables.fidfs_original}` : r.uri;
}

function tokenOf(name: string, key: Buffer, ts: number): string {
  return crypto.createHash('md5').update(name).update(key).update(String(ts)).digest('hex');
}

export default { state: state };
