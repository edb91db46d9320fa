import { isIP } from 'node:net';
import { fileURLToPath } from 'node:url';
import { daemonSocket, formatAddress, type Settings } from '../daemon/config/settings.js';
import { ACTIVE_TYPES } from '../daemon/http/extension.js';
import { RETRY_AFTER } from '../daemon/operations/problems.js';
import { NORMALISED } from './address.js';
import { consolePage } from './console.js';
import { API_ACCESS, corsHttp, preflightLocation, TO_PREFLIGHT } from './cors.js';
import { appenders, downloads, notHere, type ServerPlace } from './downloads.js';
import { elsewhereHttp, elsewhereServer, tusElsewhere } from './elsewhere.js';
import { legacyHttp, legacyServer } from './legacy.js';
import { isSigned, linkHttp, linkLocations } from './links.js';
import { lists } from './lists.js';
import { notFoundImageLocation, orNotFoundImage, wantsImage } from './not-found-image.js';
import { packed } from './packed.js';
import { pictures, picturesHttp } from './pictures.js';
import { earlyProblems, errorPages, problemAnswer, problemLocations } from './problem-pages.js';
import { belowPublicPath } from './public-path.js';
import { quoted, quotedInclude } from './quote.js';
import { wholeInformation, withoutGroup } from './short-names.js';
import { tokenLocations, tokenMaps } from './tokens.js';

/*
 * The nginx configuration: two includes for an existing nginx, and a complete configuration that includes them.
 */

/** Path of the stub_status of the nginx that fidfs starts. */
export const REQUEST_COUNT_PATH = '/.fidfs/requests';

/** Matches a Content-Length below 500,000 bytes: nginx buffers such a body; larger ones and those of unknown length stream. */
const GATHERED_BODY = '~^[1-4]?\\d{1,5}$';

const JS_DIRECTORY = fileURLToPath(new URL('../njs', import.meta.url));

function storePathMap(settings: Settings): string {
  return settings.storePaths
    .map((root, number) => `  ${(number + 0x100).toString(16).toUpperCase().slice(1)} ${quoted(root)};`)
    .join('\n');
}

/** The lines of the map of queries that need more than the least njs code. */
function asked(settings: Settings): string {
  // njs/signed.ts knows this form of links only, and these variables.
  if (isSigned(settings)) {
    return `  default 1;
  "" "";
  "~^expires=(?<fidfs_link_expires>0|[1-9][0-9]{0,14})&signature=(?<fidfs_link_signature>[0-9A-Za-z_-]{43})$" "";`;
  }
  return `  default "";
  "" "";
  "~*(?:^|&)(?:(?:download|filename)(?:[=&]|$)|(?:start|end${settings.fastdfsTokenKey === undefined ? '|token' : ''})=)" 1;`;
}

/**
 * Returns the include for `http`: njs, the maps, the upstream, the cache of pictures, the format of the access log. `pictureCache` is the
 * path of that cache.
 */
export function httpInclude(settings: Settings, pictureCache: string): string {
  const socket = daemonSocket(settings);
  return `# Written by fidfs; changes are lost. Include it in http.
js_path ${quoted(`${JS_DIRECTORY}/`)};
js_set $fidfs_last_modified fidfs.lastModified;
js_set $fidfs_date_condition fidfs.dateCondition;
js_set $fidfs_download_name fidfs.downloadName;
js_set $fidfs_token_seen fidfs.tokenSeen;
js_set $fidfs_token_state fidfs.tokenState;

# Store path by its two hexadecimal digits (M00).
map $fidfs_m $fidfs_store {
${storePathMap(settings)}
}
# 1 for large bodies and those of unknown length, which are streamed to the daemon.
map $content_length $fidfs_stream {
  default 1;
  "${GATHERED_BODY}" 0;
}
# Most downloads have no date condition, and ask for no name and no part of a video; the maps avoid the njs functions for those.
map $args $fidfs_asks {
${asked(settings)}
}
map $args $fidfs_saves {
  default "";
  "" "";
  "~*(?:^|&)(?:download|filename)(?:[=&]|$)" 1;
}
map "$request_method $fidfs_asks$http_if_modified_since$http_if_unmodified_since${isSigned(settings) ? '$http_x_fidfs_peer' : ''}" $fidfs_more {
  default "";
  "GET " "";
  "~^(?:GET|HEAD) ." 1;
}
map $http_if_modified_since$http_if_unmodified_since $fidfs_condition {
  default $fidfs_date_condition;
  "" "";
}
map $fidfs_saves $fidfs_download {
  default $fidfs_download_name;
  "" none;
}
# FastDFS's anti-steal tokens where they are not checked.
map "$arg_token $arg_ts" $fidfs_token {
  default "";
  "~^[^ ]+ [^ ]+$" $fidfs_token_seen;
}
map $fidfs_download $fidfs_disposition {
  default $fidfs_download;
  none $fidfs_active;
}
map $sent_http_content_type $fidfs_active {
  default "";${settings.activeTypes === 'inline' ? '' : `\n  "~*(?:${ACTIVE_TYPES.source})" attachment;`}
}
upstream fidfs_daemon {
  server ${quoted(socket ? `unix:${socket}` : formatAddress(settings.daemonListen))} max_fails=0;
  keepalive 128;
}
${elsewhereHttp(settings)}${linkHttp(settings)}${legacyHttp(settings)}${corsHttp(settings)}${tokenMaps()}${wantsImage(settings)}${picturesHttp(settings, pictureCache)}log_format fidfs escape=json '{"time":"$time_iso8601","requestId":"$request_id","client":"$remote_addr",'
  '"method":"$request_method","uri":"$fidfs_logged_uri","status":$status,"bytesSent":$body_bytes_sent,'
  '"bytesReceived":$request_length,"seconds":$request_time,"range":"$http_range","referer":"$fidfs_logged_referer",'
  '"userAgent":"$http_user_agent"}';
`;
}

/** The directives that proxy to the daemon; `unavailable` is the `error_page` target when it does not answer. */
const proxy = (unavailable: string) => `${NORMALISED}
  proxy_pass http://fidfs_daemon;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Fidfs-Scheme $scheme;
  proxy_set_header X-Fidfs-Client $remote_addr;
  proxy_set_header X-Request-Id $request_id;
  proxy_next_upstream off;
  proxy_read_timeout 300s;
  proxy_send_timeout 300s;
  # Applies error_page to proxy errors also after a redirect to a named location.
  recursive_error_pages on;
  ${errorPages(400, 413, 500)}
  error_page 502 504 ${unavailable};`;

const PROXY = proxy('=503 @fidfs_503');

/** Request bodies: the daemon enforces maxFileSize; nginx closes the connection of a client that sends nothing for 30 s. */
const BODY = `client_max_body_size 0;
  client_body_buffer_size 512k;
  client_body_timeout 30s;`;

const UPLOAD = `${API_ACCESS}
  error_page 418 = @fidfs_upload_stream;
  if ($fidfs_stream) { return 418; }
  ${BODY}
  ${PROXY}`;

/** For locations that nginx answers without the daemon. */
const READ_ONLY = `${errorPages(400, 405, 413, 500)}
  if ($request_method !~ "^(?:GET|HEAD)$") { return 405; }`;

/** Returns the include for `server`: uploads, downloads, deletions, information and health. */
export function serverInclude(settings: Settings, place: ServerPlace): string {
  const allowed = settings.metricsFrom.map((network) => `  allow ${quoted(network)};\n`).join('');
  return `# Written by fidfs; changes are lost. Include it in server.
location = /upload {
  ${UPLOAD}
}
# PUT /upload/<name>
location ^~ /upload/ {
  ${UPLOAD}
}
location = /upload/known {
  ${API_ACCESS}
  error_page 418 = @fidfs_upload_stream;
  if ($request_method = PUT) { return 418; }
  client_max_body_size 64k;
  client_body_buffer_size 64k;
  ${PROXY}
}
location ^~ /metadata/ {
  ${API_ACCESS}
  client_max_body_size 256k;
  client_body_buffer_size 256k;
  ${PROXY}
}
${lists(settings, `${API_ACCESS}\n  ${PROXY}`)}location ^~ /tus {
  ${API_ACCESS}
  proxy_request_buffering off;
  ${BODY}
  ${proxy('= @fidfs_tus_unavailable')}
  ${tusElsewhere(settings)}
}
location @fidfs_tus_unavailable {
  add_header Retry-After ${RETRY_AFTER} always;
  # tus clients retry after 423; after any other error they discard the upload and start a new one.
  if ($request_method = HEAD) { return 423; }
  ${problemAnswer(503, 'unavailable', 'The node of this upload cannot be reached; resume in a few seconds.')}
}
${belowPublicPath(settings)}${consolePage(settings, PROXY, READ_ONLY)}
location @fidfs_upload_stream {
  ${API_ACCESS}
  proxy_request_buffering off;
  ${BODY}
  ${PROXY}
}
${downloads(settings, place, 'plain')}
${downloads(settings, place, 'more')}
${downloads(settings, place, 'dated')}
${appenders(settings, place)}${packed(settings)}
${pictures(settings)}${notHere(settings)}
${withoutGroup(settings)}# The daemon takes DELETE and rejects other methods before their bodies arrive.
location @fidfs_other_method {
  ${TO_PREFLIGHT}
  ${API_ACCESS}
  proxy_request_buffering off;
  ${BODY}
  ${PROXY}
}
location ^~ /info/ {
  ${API_ACCESS}
  ${READ_ONLY}
  ${wholeInformation(settings)}
  # Imported in this location only: njs runs the imported code for each request of a location.
  js_import information from njs/${isSigned(settings) ? 'signed-information' : 'information'}.js;
  js_content information.info;
}
location = /healthz {
  ${READ_ONLY}
  default_type text/plain;
  return 200 "ok\\n";
}
location = /readyz {
  ${PROXY}
}
location = /metrics {
  allow 127.0.0.0/8;
  allow ::1;
${allowed}  deny all;
  error_page 403 @fidfs_403;
  ${PROXY}
}
${elsewhereServer(settings, place.directory, `${BODY}\n  ${PROXY}`)}${legacyServer(settings)}${tokenLocations(settings)}${linkLocations(settings)}${notFoundImageLocation(settings)}${preflightLocation()}${problemLocations({ 404: orNotFoundImage(settings) })}
`;
}

/** Parameters of the complete configuration beyond the settings. */
export interface Standalone {
  /** Path of the directory for nginx's includes, PID file and temporary files. */
  directory: string;
  /** Path of the access log. */
  accessLog: string;
  /** Path of the njs module to load; undefined if njs is built in. */
  module: string | undefined;
  /** Whether this nginx has the stub_status module, which counts requests. */
  counts: boolean;
  /** User and group of the workers (`user` directive); undefined to keep the starting user. */
  user: string | undefined;
}

/** Returns the location with nginx's request count, from which the daemon computes the downloads that it does not see. */
function requestCount({ listen }: Settings): string {
  return `
    location = ${REQUEST_COUNT_PATH} {
      stub_status;
      access_log off;
      allow 127.0.0.0/8;
      allow ::1;${isIP(listen.host) === 0 ? '' : `\n      allow ${quoted(listen.host)};`}
      deny all;
      error_page 403 @fidfs_403;
    }`;
}

/** Returns a complete configuration for an nginx that serves this node only. */
export function standaloneConfiguration(settings: Settings, standalone: Standalone): string {
  const { directory, accessLog, module, counts, user } = standalone;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `  ${kind}_temp_path ${quoted(`${directory}/tmp/${kind}`)};`)
    .join('\n');
  return `# Written by fidfs; changes are lost.
${module ? `load_module ${quoted(module)};\n` : ''}${user ? `user ${user};\n` : ''}daemon off;
worker_processes ${quoted(String(settings.workers))};
pcre_jit on;
pid ${quoted(`${directory}/nginx.pid`)};
error_log stderr warn;
events {
  worker_connections 4096;
}
http {
${temporary}
  server_tokens off;
  reset_timedout_connection on;
  client_header_timeout 30s;
  keepalive_requests 100000;
  include ${quotedInclude(`${directory}/own-http.conf`)};
  # Redirects browsers from / to the web page.
  map "$request_method $http_accept" $fidfs_to_page {
    default "";
    "~^(?:GET|HEAD) .*text/html" 1;
  }
  access_log ${quoted(accessLog)} fidfs buffer=64k flush=1s;
  server {
    listen ${quoted(formatAddress(settings.listen))} backlog=4096;
    ${earlyProblems()}
    ${errorPages(404, 500)}
    # The problem of a 404 may itself lead on, to notFoundImage.
    recursive_error_pages on;
    include ${quotedInclude(`${directory}/own-server.conf`)};${counts ? requestCount(settings) : ''}
    location = / {
      ${READ_ONLY}
      ${errorPages(404)}
      if ($fidfs_to_page) { return 302 console/; }
      return 404;
    }
    location / {
      ${errorPages(404, 405, 500)}
      if ($request_method ~ "^(?:POST|PUT)$") { return 405; }
      return 404;
    }
  }
}
`;
}
