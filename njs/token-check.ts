/*
 * FastDFS's anti-steal tokens: `?token=<32 hex digits>&ts=<seconds>`. The token is the MD5 of the name without the group, the
 * key and `ts`.
 */
// biome-ignore lint/style/useNodejsImportProtocol: njs has no node: prefix
import crypto from 'crypto';
import marks from './mark.js';

/** The JSON in `$fidfs_token_settings`, written by nginx/tokens.ts. */
interface TokenSettings {
  /** The key in base64: nginx's configuration cannot contain every character of it. */
  key: string;
  /** Seconds for which a token is valid. */
  ttl: number;
  /** The server id of this node. */
  id: string;
  /** The key of the read marks of peers; empty without peers. */
  readKey: string;
}

/**
 * `$fidfs_token_state`: an empty string if the request may have the file, otherwise `missing` (without `token` or `ts`) or `wrong`
 * (another token, or an expired one). A request of a peer, which has checked the token, has a valid read mark for this node.
 */
function state(r: NginxHTTPRequest): string {
  if (r.method !== 'GET' && r.method !== 'HEAD') return '';
  // Without the prefix of an internal location.
  const uri = r.uri.replace(/^\/\.fidfs\/more/, '');
  const settings: TokenSettings = JSON.parse(r.variables.fidfs_token_settings as string);
  const mark = r.headersIn['X-Fidfs-Peer'];
  if (mark && settings.readKey) {
    if (marks.receiverOf(mark, settings.readKey, uri.substring(1), [settings.id])) return '';
  }
  const token = r.variables.arg_token;
  const text = r.variables.arg_ts;
  if (!token || !text) return 'missing';
  const ts = secondsOf(text);
  if (ts !== 0 && Math.floor(Date.now() / 1000) - ts > settings.ttl) return 'wrong';
  const name = uri.substring(uri.indexOf('/', 1) + 1);
  if (marks.same(tokenOf(name, settings.key, ts), token)) return '';
  // The link may have been signed as it is without the store path, which is then the first.
  const isFirst = name.substring(0, 4) === 'M00/';
  return isFirst && marks.same(tokenOf(name.substring(4), settings.key, ts), token) ? '' : 'wrong';
}

/** The number at the beginning of a text as a signed 32-bit integer, 0 without one: C's `atoi`, with which FastDFS reads `ts`. */
function secondsOf(text: string): number {
  const digits = /^[+-]?[0-9]+/.exec(text);
  return digits ? Number(digits[0]) | 0 : 0;
}

function tokenOf(name: string, key: string, ts: number): string {
  return crypto.createHash('md5').update(name).update(Buffer.from(key, 'base64')).update(String(ts)).digest('hex');
}

export default { state: state };
