import type { Settings } from '../daemon/config/settings.js';
import { RETRY_AFTER } from '../daemon/operations/problems.js';
import { downloadHeaders, HIDE_HEADERS, TO_PREFLIGHT } from './cors.js';
import { errorPages, problemAnswer } from './problem-pages.js';
import { quoted } from './quote.js';
import { tokenErrorPages, tokenGuard } from './tokens.js';

/*
 * Groups that FastDFS still serves (`legacy`): nginx proxies their downloads to FastDFS's web server.
 */

/** Limit of concurrent requests to FastDFS's web servers, so that one that hangs leaves connections for everything else. */
const CONCURRENT = 512;

/** Statuses that mean the file cannot be had now. A redirect would lead the client to an address of FastDFS's network. */
const UNAVAILABLE = Array.from({ length: 300 }, (_, index) => 300 + index)
  .filter((status) => ![304, 400, 401, 403, 404, 405, 410, 412, 416, 470, 471, 499].includes(status))
  .join(' ');

function upstream(number: number): string {
  return `fidfs_legacy_${number}`;
}

/** Returns the directives for `http`. */
export function legacyHttp({ legacy }: Settings): string {
  if (legacy.length === 0) return '';
  const upstreams = legacy.map(({ url }, number) => {
    const { hostname, port } = new URL(url);
    return `upstream ${upstream(number)} {\n  server ${quoted(`${hostname}:${port || 80}`)} max_fails=0;\n  keepalive 16;\n}\n`;
  });
  return `${upstreams.join('')}js_set $fidfs_legacy_args fidfs.legacyArgs;
limit_conn_zone fidfs zone=fidfs_legacy:32k;
`;
}

/** Returns the locations of the groups and of the answers when FastDFS does not send the file. */
export function legacyServer(settings: Settings): string {
  if (settings.legacy.length === 0) return '';
  return `${settings.legacy.map(({ group, url }, number) => groupLocation(settings, group, url, number)).join('')}
location @fidfs_legacy_400 {
  ${problemAnswer(400, 'bad-request', 'FastDFS, which still serves this group, refused the request; a token may be missing or wrong.')}
}
location @fidfs_legacy_403 {
  ${problemAnswer(403, 'forbidden', 'FastDFS, which still serves this group, refused the request; a token may be missing or wrong.')}
}
location @fidfs_legacy_unavailable {
  add_header Retry-After ${RETRY_AFTER} always;
  ${problemAnswer(503, 'unavailable', 'FastDFS, which still serves this group, does not send the file; try again in a few seconds.')}
}
`;
}

function groupLocation(settings: Settings, group: string, url: string, number: number): string {
  const conditions = ['Range', 'If-Range', 'If-Match', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since'];
  const headers = conditions.map((one) => `proxy_set_header ${one} $http_${one.toLowerCase().replaceAll('-', '_')};`);
  // Here a file's name only: $uri is decoded. \z, because $ also matches before a line feed at the end. FastDFS's module would also send its metadata, <name>-m.
  const name = `^/${group}/(?:M[0-9A-F]{2}/)?[0-9A-F]{2}/[0-9A-F]{2}/[A-Za-z0-9._-]+(?<!-m)\\z`;
  return `location ^~ /${group}/ {
  js_import fidfs from njs/downloads.js;
  recursive_error_pages on;
  proxy_intercept_errors on;
  ${tokenErrorPages(settings)}
  ${errorPages(404, 405, 412, 416)}
  error_page 410 =404 @fidfs_404;
  error_page 400 @fidfs_legacy_400;
  error_page 401 403 =403 @fidfs_legacy_403;
  error_page ${UNAVAILABLE} = @fidfs_legacy_unavailable;
  ${tokenGuard(settings)}
  ${TO_PREFLIGHT}
  if ($request_method !~ "^(?:GET|HEAD)$") { return 405; }
  # Two nodes that take each other for FastDFS.
  if ($http_x_fidfs_legacy) { return 503; }
  if ($uri !~ "${name}") { return 404; }
  limit_conn fidfs_legacy ${CONCURRENT};
  limit_conn_log_level info;
  proxy_pass http://${upstream(number)}$uri$fidfs_legacy_args;
  proxy_http_version 1.1;
  # Forwards no client headers except those set here: no Authorization, no Cookie.
  proxy_pass_request_headers off;
  proxy_pass_request_body off;
  proxy_set_header Host ${quoted(new URL(url).host)};
  proxy_set_header Connection "";
  proxy_set_header Content-Length "";
  proxy_set_header User-Agent "fidfs (node ${settings.serverId})";
  proxy_set_header X-Fidfs-Legacy 1;
  ${headers.join('\n  ')}
  proxy_connect_timeout 2s;
  proxy_read_timeout 10s;
  proxy_send_timeout 10s;
  # Reopens a keepalive connection that FastDFS has closed; the upstream has one server only.
  proxy_next_upstream error;
  proxy_ignore_headers X-Accel-Redirect X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;
  proxy_hide_header Set-Cookie;
  proxy_hide_header Content-Disposition;
  proxy_hide_header X-Content-Type-Options;
  ${HIDE_HEADERS}
  proxy_max_temp_file_size 0;
  proxy_buffer_size 16k;
  proxy_buffers 4 64k;
  proxy_busy_buffers_size 128k;
  add_header Content-Disposition $fidfs_disposition;
  add_header X-Content-Type-Options nosniff;
  ${downloadHeaders(settings, true)}${settings.fastdfsTokenKey === undefined ? '' : '\n  proxy_hide_header Cache-Control;\n  add_header Cache-Control private;'}
}
`;
}
