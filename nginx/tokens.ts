import { readMarkKey } from '../daemon/cluster/read-mark.js';
import type { Settings } from '../daemon/config/settings.js';
import { pictureLocation } from './picture.js';
import { problemAnswer } from './problem-pages.js';
import { quoted } from './quote.js';

/*
 * FastDFS's anti-steal tokens, checked by njs/token-check.ts before a file is looked for, on this node or another; and the removal of tokens
 * and signatures from the access log, whether they are checked or not.
 */

/** Statuses that nginx does not send: `error_page` maps them to the answers. */
const MISSING = 470;
const WRONG = 471;

const FAIL_IMAGE = '/.fidfs/token-fail-image';

/**
 * Returns the maps for `http`: what the access log contains in place of a URI or a referrer with a token or a signature. Not by
 * `$args`, which an `error_page` with a URI empties.
 */
export function tokenMaps(): string {
  const masked = (name: string, text: string) => `map ${text} ${name} {
  default ${text};
  "~[?]" ${name}_masked;
}
map ${text} ${name}_masked {
  default ${text};
  # Most links have these two parameters and no others; the regular expressions below take longer.
  "~^(?<fidfs_before_signature>[^?]*[?]expires=[0-9]*&signature=)[0-9A-Za-z_-]*$" "$fidfs_before_signature***";
  # Two of them: the whole query is removed.
  "~*^(?<fidfs_before_query>[^?]*)[?](?:.*&)?(?:token|signature)=.*&(?:token|signature)=" "$fidfs_before_query?***";
  "~*^(?<fidfs_before_token>[^?]*[?](?:.*&)?(?:token|signature)=)[^&]*(?<fidfs_after_token>.*)$" "$fidfs_before_token***$fidfs_after_token";
}
`;
  return `# An address with a token or a signature is a permission, and logs are read by others.
${masked('$fidfs_logged_uri', '$request_uri')}${masked('$fidfs_logged_referer', '$http_referer')}`;
}

/** Returns the directives of a location that checks the token; empty if the settings have no key. They must precede other `if`s. */
export function tokenGuard({ fastdfsTokenKey }: Settings): string {
  if (fastdfsTokenKey === undefined) return '';
  return `if ($fidfs_token_state = missing) { return ${MISSING}; }
  if ($fidfs_token_state = wrong) { return ${WRONG}; }`;
}

/** Returns the `error_page` directives that `tokenGuard` needs in the same location or around it. */
export function tokenErrorPages({ fastdfsTokenKey, fastdfsTokenFailImage, fastdfsTokenStrict }: Settings): string {
  if (fastdfsTokenKey === undefined) return '';
  const wrong =
    fastdfsTokenFailImage === undefined ? '= @fidfs_token_wrong' : `=${fastdfsTokenStrict ? 403 : 200} ${FAIL_IMAGE}`;
  return `error_page ${MISSING} = @fidfs_token_missing;
  error_page ${WRONG} ${wrong};`;
}

/** Returns the settings of the check and the locations of its answers; empty if the settings have no key. */
export function tokenLocations(settings: Settings): string {
  const { fastdfsTokenKey, fastdfsTokenTtl, fastdfsTokenFailImage, fastdfsTokenStrict, serverId, peers } = settings;
  if (fastdfsTokenKey === undefined) return '';
  // In base64, because nginx's configuration cannot contain every character of it.
  const key = Buffer.from(fastdfsTokenKey).toString('base64');
  const readKey = peers.length > 0 ? readMarkKey(settings.peerSecret ?? '') : '';
  const answer = (detail: string) =>
    fastdfsTokenStrict ? problemAnswer(403, 'forbidden', detail) : problemAnswer(400, 'bad-request', detail);
  const image =
    fastdfsTokenFailImage === undefined
      ? ''
      : pictureLocation(settings, fastdfsTokenFailImage, FAIL_IMAGE, '@fidfs_token_wrong');
  // js_var: no log contains the values.
  return `js_var $fidfs_token_key ${quoted(key)};
js_var $fidfs_token_ttl ${Math.floor(fastdfsTokenTtl / 1000)};
js_var $fidfs_read_key ${quoted(readKey)};
js_var $fidfs_server_id ${serverId};
location @fidfs_token_missing {
  add_header Cache-Control no-store always;
  ${answer('This address needs a token and its time: ?token=…&ts=….')}
}
location @fidfs_token_wrong {
  add_header Cache-Control no-store always;
  ${answer('The token is wrong for this address, or has expired.')}
}
${image}`;
}
