import type { Settings } from '../daemon/config/settings.js';

/*
 * Pages of other origins (CORS): the response headers with which a browser lets them read what they fetch, and the answers to
 * preflights. A location with an `add_header` of its own inherits none, so each location that answers repeats the list.
 */

/** The address to which preflights are rewritten. */
const PREFLIGHT = '/.fidfs/preflight';

/** Seconds for which a browser may remember the answer to a preflight; Chromium takes no more. */
const REMEMBERED = 7200;

/** Headers of an upstream that are replaced. */
const REPLACED = [
  ...['Access-Control-Allow-Origin', 'Access-Control-Expose-Headers', 'Access-Control-Allow-Methods'],
  ...['Access-Control-Allow-Headers', 'Access-Control-Max-Age', 'Cross-Origin-Resource-Policy'],
];

/** Headers of downloads that a page may read beside those that it may always read. */
const EXPOSED = 'Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Retry-After';

/** Headers of the daemon's answers that a page may read. */
const API_EXPOSED = [
  'Content-Length, ETag, Fidfs-Id, Fidfs-Url, Location, Retry-After, Tus-Checksum-Algorithm, Tus-Extension, Tus-Max-Size, Tus-Resumable',
  'Tus-Version, Upload-Concat, Upload-Defer-Length, Upload-Expires, Upload-Length, Upload-Metadata, Upload-Offset',
  'WWW-Authenticate, X-Request-Id',
].join(', ');

const API_METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';

/** Headers of requests to the daemon that a browser asks about: those that its routes read, and X-Request-ID of tus clients. */
const API_HEADERS = [
  'Authorization, Content-Digest, Content-Type, Repr-Digest',
  'Tus-Resumable, Upload-Checksum, Upload-Concat, Upload-Defer-Length, Upload-Length, Upload-Metadata, Upload-Offset',
  'X-HTTP-Method-Override, X-Request-ID',
].join(', ');

/** Headers of requests for downloads that a browser asks about. */
const DOWNLOAD_HEADERS = 'Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since';

/** Returns the entries of a map by `$http_origin`: the origin if it is allowed. */
function allowed(origins: readonly string[]): string {
  if (origins.includes('*')) return '  default *;';
  // By regular expressions, because nginx compares texts without regard to case, and its hash tables take no long ones.
  const entry = (origin: string) => `  "~^${origin.replace(/[.[\]]/g, '\\$&')}\\z" ${JSON.stringify(origin)};`;
  return ['  default "";', ...origins.map(entry)].join('\n');
}

/** Whether the answer depends on the origin of the request. */
function varies(origins: readonly string[]): boolean {
  return origins.length > 0 && !origins.includes('*');
}

/** Returns the maps for `http`. */
export function corsHttp({ corsDownloads, corsOrigins }: Settings): string {
  return `# "api" where the daemon's routes for applications answer; otherwise a download. js_var: nginx warns of a variable that is not set.
js_var $fidfs_cors_kind;
# The origin that may read a download; empty if none may.
map $http_origin $fidfs_cors_download {
${allowed(corsDownloads)}
}
# The same of the daemon's routes.
map $http_origin $fidfs_cors_api {
${allowed(corsOrigins)}
}
map $fidfs_cors_kind $fidfs_cors_origin {
  default $fidfs_cors_download;
  api $fidfs_cors_api;
}
map "$fidfs_cors_kind $fidfs_cors_origin" $fidfs_cors_exposed {
  default "";
  "~^ ." "${EXPOSED}";
  "~^api ." "${API_EXPOSED}";
}
map $fidfs_cors_kind $fidfs_cors_vary {
  default "${varies(corsDownloads) ? 'Origin' : ''}";
  api "${varies(corsOrigins) ? 'Origin' : ''}";
}
map $fidfs_cors_kind $fidfs_cors_policy {
  default "${corsDownloads.length > 0 ? 'cross-origin' : ''}";
  api "";
}
map $fidfs_cors_kind $fidfs_cors_methods {
  default "GET, HEAD";
  api "${API_METHODS}";
}
map $fidfs_cors_kind $fidfs_cors_headers {
  default "${DOWNLOAD_HEADERS}";
  api "${API_HEADERS}";
}
# Preflights of requests to read, from an origin that may.
map "$request_method $http_access_control_request_method $fidfs_cors_download" $fidfs_preflight {
  default "";
  "~^OPTIONS (?:GET|HEAD) ." 1;
}
# Preflights of requests to the daemon, from an origin that may.
map "$request_method $http_access_control_request_method $fidfs_cors_api" $fidfs_api_preflight {
  default "";
  "~^OPTIONS [A-Z]+ ." 1;
}
`;
}

/**
 * Returns the headers of a download. With the default `*` they are constants, which cost nothing to evaluate. `always`: on every status
 * and not only on those of success, in locations that pass on an upstream's errors.
 */
export function downloadHeaders({ corsDownloads }: Pick<Settings, 'corsDownloads'>, always = false): string {
  if (corsDownloads.length === 0) return '';
  const end = always ? ' always;' : ';';
  const isConstant = !varies(corsDownloads);
  return `add_header Access-Control-Allow-Origin ${isConstant ? '*' : '$fidfs_cors_download'}${end}
  add_header Access-Control-Expose-Headers ${isConstant ? `"${EXPOSED}"` : '$fidfs_cors_exposed'}${end}
  add_header Cross-Origin-Resource-Policy cross-origin${end}${isConstant ? '' : `\n  add_header Vary Origin${end}`}`;
}

/** The headers of the answers that nginx makes itself, such as problems. */
export const ANSWER_HEADERS = `add_header Access-Control-Allow-Origin $fidfs_cors_origin always;
  add_header Access-Control-Expose-Headers $fidfs_cors_exposed always;
  add_header Cross-Origin-Resource-Policy $fidfs_cors_policy always;
  add_header Vary $fidfs_cors_vary always;`;

/** The directives that remove these headers from the answer of an upstream, because this nginx adds its own. */
export const HIDE_HEADERS = REPLACED.map((name) => `proxy_hide_header ${name};`).join('\n  ');

/** The directive that answers preflights, in locations that get them because they refuse the method. */
export const TO_PREFLIGHT = `if ($fidfs_preflight) { rewrite ^ ${PREFLIGHT} last; }`;

/** The directives, before all others, of a location in which the daemon's routes for applications answer. */
export const API_ACCESS = `set $fidfs_cors_kind api;
  if ($fidfs_api_preflight) { rewrite ^ ${PREFLIGHT} last; }
  ${HIDE_HEADERS}
  ${ANSWER_HEADERS}`;

/** Returns the location that answers preflights. */
export function preflightLocation(): string {
  return `location = ${PREFLIGHT} {
  internal;
  add_header Access-Control-Allow-Origin $fidfs_cors_origin;
  add_header Access-Control-Allow-Methods $fidfs_cors_methods;
  add_header Access-Control-Allow-Headers $fidfs_cors_headers;
  add_header Access-Control-Max-Age ${REMEMBERED};
  add_header Vary $fidfs_cors_vary;
  return 204;
}
`;
}
