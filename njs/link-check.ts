/*
 * Signed links to private files: `?expires=<seconds>&signature=<base64url>[&download=<name>]`. The string that is signed is in
 * docs/http.md and daemon/config/signed-link.ts. The variables are written by nginx/links.ts; njs reads them faster than JSON, and
 * regular expressions are slow in it.
 */
// biome-ignore lint/style/useNodejsImportProtocol: njs has no node: prefix
import crypto from 'crypto';
import marks from './mark.js';

/** Whatever a browser may keep, in seconds: a year. */
function longest(): number {
  return 31536000;
}

/** The parameters of a signed link as they stand in the query; empty if absent. */
interface Link {
  expires: string;
  signature: string;
  download: string;
}

/**
 * `$fidfs_link_state`: the `Cache-Control` of the answer if the request may have the file; `expired` if the signature is right but has
 * ended; otherwise an empty string, which nginx takes an exception for as well. `no-store` for methods that send no file.
 */
function fileState(r: NginxHTTPRequest): string {
  // Without the prefix of an internal location, and without the slash.
  const uri = r.uri;
  return state(r, uri.substring(uri.charAt(1) === '.' ? '/.fidfs/more/'.length : 1), '');
}

/** `$fidfs_picture_link_state`: the same for a picture; also `no-store` if its file is of another group, whose nodes check the link. */
function pictureState(r: NginxHTTPRequest): string {
  const id = r.variables.fidfs_original as string;
  return isOwn(r, id) ? state(r, id, r.variables.fidfs_preset as string) : 'no-store';
}

/** Whether an ID is of the group of this node. */
function isOwn(r: NginxHTTPRequest, id: string): boolean {
  return id.substring(0, id.indexOf('/')) === r.variables.fidfs_link_group;
}

/** As `$fidfs_link_state`, for an ID without a leading slash, and the preset of its picture (empty for the file itself). */
function state(r: NginxHTTPRequest, id: string, preset: string): string {
  if (r.method !== 'GET' && r.method !== 'HEAD') return 'no-store';
  const link = linkOf(r.variables.args || '');
  const mark = r.variables.http_x_fidfs_peer;
  if (mark) {
    const sender = senderOf(r, mark, id);
    if (sender === 'permitted') return (link && cachingOf(link.expires)) || 'private';
    // Whether this node has the file of a picture.
    if (sender === 'other' && r.method === 'HEAD') preset = r.headersIn['X-Fidfs-Preset'] || preset;
  }
  if (!link) return '';
  const name = decoded(link.download);
  if (name === undefined) return '';
  const text = `fidfs\n${id}\n${link.expires}\n${name}\n${preset}`;
  if (!isSigned(text, r.variables.fidfs_link_key as string, link.signature)) {
    const second = r.variables.fidfs_link_second_key;
    if (!second || !isSigned(text, second, link.signature)) return '';
  }
  const caching = cachingOf(link.expires);
  return caching === '' ? 'expired' : caching || '';
}

/** Parses a query; undefined if a parameter stands twice, or a name is in `filename`, which is not signed. */
function linkOf(args: string): Link | undefined {
  const middle = args.indexOf('&');
  // Most links have these two and no others.
  if (args.substring(0, 8) === 'expires=' && args.substring(middle, middle + 11) === '&signature=') {
    if (args.indexOf('&', middle + 1) < 0) {
      return { expires: args.substring(8, middle), signature: args.substring(middle + 11), download: '' };
    }
  }
  const found: { [name: string]: string } = {};
  const parts = args.split('&');
  for (let number = 0; number < parts.length; number++) {
    const part = parts[number] as string;
    const equals = part.indexOf('=');
    // nginx finds parameters whatever the case of their names.
    const name = (equals < 0 ? part : part.substring(0, equals)).toLowerCase();
    if (name === 'filename') return undefined;
    if (name !== 'expires' && name !== 'signature' && name !== 'download') continue;
    if (found[name] !== undefined) return undefined;
    found[name] = equals < 0 ? '' : part.substring(equals + 1);
  }
  return { expires: found.expires || '', signature: found.signature || '', download: found.download || '' };
}

/** Decodes a download name; undefined if it is not percent-encoded UTF-8. */
function decoded(encoded: string): string | undefined {
  if (encoded === '') return '';
  try {
    return decodeURIComponent(encoded.replace(/\+/g, ' '));
  } catch (_error) {
    return undefined;
  }
}

/** Whether `signature` is that of `text`. */
function isSigned(text: string, key: string, signature: string): boolean {
  const right = crypto.createHmac('sha256', key).update(text).digest('base64url');
  // 43 characters, and `same` compares 4 at a time.
  return marks.same(`${right}=`, `${signature}=`);
}

/**
 * Returns the `Cache-Control` of an answer until `expires`: an empty string if that is not in the future, undefined if it is not a number
 * of digits alone.
 */
function cachingOf(expires: string): string | undefined {
  const seconds = Number(expires);
  if (!(seconds >= 0 && seconds < 1e15) || seconds % 1 !== 0 || String(seconds) !== expires) return undefined;
  const left = seconds - Math.floor(Date.now() / 1000);
  return left > 0 ? `private, max-age=${Math.min(left, longest())}` : '';
}

/**
 * Returns `permitted` for a request of a node that needs no link: one of this group, which has checked it or copies the file, or the daemon
 * of any node. `other` is the nginx of a node of another group, which passes the link on, because it does not know that one is needed.
 * Undefined if the read mark is not valid.
 */
function senderOf(r: NginxHTTPRequest, mark: string, id: string): 'permitted' | 'other' | undefined {
  const readKey = r.variables.fidfs_link_read_key;
  const receivers = [r.variables.fidfs_link_server as string];
  if (!readKey || marks.receiverOf(mark, readKey, id, receivers) === undefined) return undefined;
  const sender = mark.substring(0, mark.indexOf(' '));
  if ((r.variables.fidfs_link_nodes as string).indexOf(` ${sender} `) >= 0) return 'permitted';
  const daemon = r.headersIn['X-Fidfs-Daemon'];
  return marks.receiverOf(daemon, readKey, `daemon/${id}`, receivers) === undefined ? 'other' : 'permitted';
}

export default { fileState: fileState, pictureState: pictureState, isOwn: isOwn, state: state };
