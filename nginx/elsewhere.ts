import { isIP } from 'node:net';
import { join } from 'node:path';
import { CLUSTER_DIRECTORY } from '../daemon/cluster/cluster-file.js';
import { readMarkKey } from '../daemon/cluster/read-mark.js';
import { trustedCertificates } from '../daemon/config/certificates.js';
import type { PeerSettings, Settings } from '../daemon/config/settings.js';
import { RETRY_AFTER } from '../daemon/operations/problems.js';
import { NORMALISED } from './address.js';
import { bareRequest } from './bare-request.js';
import { compression } from './compression.js';
import { API_ACCESS, downloadHeaders, HIDE_HEADERS } from './cors.js';
import { errorPages, problemAnswer } from './problem-pages.js';
import { quoted } from './quote.js';
import { addStorePath } from './short-names.js';
import { tokenErrorPages, tokenGuard } from './tokens.js';

/*
 * Misses: nginx proxies the request to a node that has the file, chosen by njs/elsewhere.ts. Only nodes with peers have
 * these locations, and hits never reach them.
 */

/** Limit of concurrent requests to other nodes, because requests with invented IDs are all misses. */
const MISSES = 512;

/** Statuses of a peer that are not an answer about an existing file, as these are; after those the next location takes over. */
function notTheFile(answers: readonly number[]): string {
  return Array.from({ length: 298 }, (_, index) => 300 + index)
    .filter((status) => !answers.includes(status))
    .join(' ');
}

/** How a request for a picture of a file, and not for the file itself, is proxied. */
interface PassingPicture {
  /** What precedes the ID in the address. */
  prefix: string;
  /** Statuses that are passed on to the client. */
  passed: readonly number[];
  /** Further request headers of the client. */
  headers: readonly string[];
  /** How long the peer may take to answer, in seconds. */
  timeout: number;
}

/** Returns name and address of the `upstream` for a peer; undefined for a host name, whose address may change (no keepalive). */
function upstreamOf({ id, url }: PeerSettings): { name: string; address: string } | undefined {
  const { hostname, port, protocol } = new URL(url);
  if (isIP(hostname.replace(/^\[|\]$/g, '')) === 0) return undefined;
  return { name: `fidfs_peer_${id}`, address: `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}` };
}

/** Whether this node's group has other nodes, which are asked on a miss. */
export function asksOwnGroup({ peers, group }: Settings): boolean {
  return peers.some((peer) => peer.group === group);
}

/**
 * Returns the maps from a group to its peers, as JSON (`Members` of njs/elsewhere.ts), and from the server id in a resumable upload to the
 * group: njs takes apart only what concerns one group, however large the cluster is.
 */
function membersByGroup(peers: readonly PeerSettings[]): string {
  const groups = new Map<string, [id: number, member: { upstream?: string }][]>();
  for (const peer of peers) {
    const upstream = upstreamOf(peer);
    const member = upstream ? { upstream: `${new URL(peer.url).protocol}//${upstream.name}` } : {};
    groups.set(peer.group, [...(groups.get(peer.group) ?? []), [peer.id, member]]);
  }
  const members = [...groups].map(([group, all]) => {
    // With a prefix, because a group may have the name of a parameter of map.
    return `  ${quoted(`of ${group}`)} ${quoted(JSON.stringify(Object.fromEntries(all)))};\n`;
  });
  const uploads = peers.map(({ id, group }) => `  ${id} ${quoted(group)};\n`);
  return `map "of $fidfs_of_group" $fidfs_members {
  default "{}";
${members.join('')}}
map $fidfs_tus $fidfs_tus_group {
  default "";
${uploads.join('')}}
`;
}

/** Returns the directives for `http`: upstreams with keepalive connections to peers, and the limit of misses. */
export function elsewhereHttp({ peers, publicUrl, urlHasGroup }: Settings): string {
  if (peers.length === 0) return '';
  const upstreams = peers
    .map(upstreamOf)
    .filter((upstream) => upstream !== undefined)
    .map(({ name, address }) => `upstream ${name} {\n  server ${quoted(address)} max_fails=0;\n  keepalive 64;\n}\n`);
  const path = '/$fidfs_tus_file';
  return `${upstreams.join('')}${membersByGroup(peers)}limit_conn_zone fidfs zone=fidfs_misses:32k;
js_set $fidfs_tus_origin fidfs.tusOrigin;
js_set $fidfs_tus_host fidfs.tusHost;
map $fidfs_tus_host $fidfs_tus_name {
  "~^(?<fidfs_tus_bare>.*?)(?::[0-9]+)?$" $fidfs_tus_bare;
}
# The address of the stored file, with the origin that the client used for the upload.
map $upstream_http_fidfs_id $fidfs_tus_url {
  default "";
  "~^${urlHasGroup ? '' : '[^/]+/'}(?<fidfs_tus_file>.+)$" ${publicUrl === undefined ? quoted('', `$scheme://$http_host${path}`) : quoted(publicUrl, path)};
}
`;
}

/** Returns `Here` of njs/elsewhere.ts as JSON. It goes into a js_var: no log contains its value, and hits do not evaluate it. */
function here(settings: Settings, directory: string): string {
  return JSON.stringify({
    id: String(settings.serverId),
    group: settings.group,
    cluster: join(directory, CLUSTER_DIRECTORY),
    readKey: readMarkKey(settings.peerSecret ?? ''),
    stripsTokens: settings.fastdfsTokenKey !== undefined,
  });
}

/** Returns the directives that verify peers' certificates; empty if no peer has https. `name`: the expected host name. */
function peerTls({ peers }: Settings, name: string): string {
  if (!peers.some(({ url }) => url.startsWith('https:'))) return '';
  const trusted = trustedCertificates() ?? '/etc/ssl/certs/ca-certificates.crt';
  return `
  proxy_ssl_verify on;
  proxy_ssl_verify_depth 5;
  proxy_ssl_server_name on;
  proxy_ssl_name ${name};
  proxy_ssl_protocols TLSv1.2 TLSv1.3;
  proxy_ssl_trusted_certificate ${quoted(trusted)};`;
}

/** Returns the directives of every request to a peer. `name`: the host name that its certificate must have. */
function toPeer(settings: Settings, host: string, name: string, hmac: string): string {
  const { serverId } = settings;
  return `${bareRequest(host)}
  proxy_set_header User-Agent "fidfs (node ${serverId})";
  proxy_set_header X-Fidfs-Peer "${serverId} ${hmac}";
  proxy_connect_timeout 500ms;
  # Reopens a keepalive connection that the peer has closed; the upstream has one server only.
  proxy_next_upstream error;
  proxy_ignore_headers X-Accel-Redirect X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;${peerTls(settings, name)}`;
}

/** Returns the location, nested in that for /tus, of resumable uploads on other nodes; their ids begin with the server id. */
export function tusElsewhere(settings: Settings): string {
  if (settings.peers.length === 0) return '';
  return `location ~ "^/tus/(?<fidfs_tus>${settings.peers.map(({ id }) => id).join('|')})-" {
  ${API_ACCESS}
  js_import fidfs from njs/elsewhere.js;
  # Forwarded already: a url in some node's peers is wrong.
  if ($http_x_fidfs_tus) { return 503; }
  if ($fidfs_tus_origin = "") { return 503; }
  ${NORMALISED}
  proxy_pass $fidfs_tus_origin;
  proxy_http_version 1.1;
  proxy_set_header Host $fidfs_tus_host;
  # The peer compares Origin with Host, which differs from the page's host here. Pages of other sites cannot send
  # parts anyway: tus uses methods and headers that need a CORS preflight, which this nginx permits only to corsOrigins.
  proxy_set_header Origin "";
  proxy_set_header Sec-Fetch-Site "";
  proxy_set_header Connection "";
  proxy_set_header X-Fidfs-Tus ${settings.serverId};
  proxy_connect_timeout 2s;
  proxy_read_timeout 300s;
  proxy_send_timeout 300s;
  proxy_next_upstream off;
  proxy_ignore_headers X-Accel-Redirect X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;
  proxy_hide_header Fidfs-Url;
  add_header Fidfs-Url $fidfs_tus_url;${peerTls(settings, '$fidfs_tus_name')}
  recursive_error_pages on;
  ${errorPages(400, 413, 500)}
  error_page 502 503 504 = @fidfs_tus_unavailable;
  }`;
}

/** Returns the directives that proxy to the node chosen by njs; `otherwise` is the location if it does not send the file. */
export function passing(settings: Settings, otherwise: string, picture?: PassingPicture): string {
  const conditions = ['Range', 'If-Range', 'If-Match', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since'];
  const headers = [...conditions, ...(picture?.headers ?? [])].map(
    (one) => `proxy_set_header ${one} $http_${one.toLowerCase().replaceAll('-', '_')};`,
  );
  return `recursive_error_pages on;
  proxy_intercept_errors on;
  error_page ${notTheFile([304, 412, 416, 499, ...(picture?.passed ?? [])])} = ${otherwise};
  proxy_pass $fidfs_origin/${picture?.prefix ?? ''}$fidfs_id$fidfs_args;
  ${toPeer(settings, '$fidfs_host', '$fidfs_name', '$fidfs_hmac')}
  ${headers.join('\n  ')}
  proxy_read_timeout ${picture?.timeout ?? 5}s;
  proxy_send_timeout 5s;
  # Large files pass through bounded memory, not temporary files. (With buffers of 32k a file of 100 KB took a third longer.)
  proxy_max_temp_file_size 0;
  proxy_buffer_size 16k;
  proxy_buffers 4 64k;
  proxy_busy_buffers_size 128k;
  ${picture ? 'gzip off;' : `${compression(settings)}\n  proxy_hide_header Vary;`}
  # The peer does not get the Origin, so those for pages of other origins are this node's.
  ${HIDE_HEADERS}
  ${downloadHeaders(settings, true)}
  # The peer sets all others. An add_header here, even with an empty value, prevents inheriting those of outer levels.
  add_header X-Fidfs-Peer "";`;
}

/** Returns the locations for misses and for requests of peers' daemons. `toDaemon` are the directives to this node's daemon. */
export function elsewhereServer(settings: Settings, directory: string, toDaemon: string): string {
  if (settings.peers.length === 0) return '';
  const groups = new Set(settings.peers.map(({ group }) => group).filter((group) => group !== settings.group));
  const otherGroups = [...groups].map(
    (group) => `# This node stores no files of this group.
location ^~ /${group}/ {
  js_import fidfs from njs/guarded.js;
  recursive_error_pages on;
  error_page 404 = @fidfs_elsewhere;
  error_page 405 = @fidfs_other_method;
  ${errorPages(413, 500)}
  ${tokenErrorPages(settings)}
  ${addStorePath(group)}
  ${tokenGuard(settings)}
  if ($request_method !~ "^(?:GET|HEAD)$") { return 405; }
  return 404;
}
`,
  );
  return `js_var $fidfs_here ${quoted(here(settings, directory))};
js_var $fidfs_of_group;
js_var $fidfs_uri;
js_var $fidfs_id;
js_var $fidfs_peer;
js_var $fidfs_origin;
js_var $fidfs_host;
js_var $fidfs_name;
js_var $fidfs_hmac;
js_var $fidfs_args;
js_var $fidfs_link_args;
${otherGroups.join('')}location @fidfs_elsewhere {
  js_import fidfs from njs/elsewhere.js;
  recursive_error_pages on;
  ${errorPages(404, 413, 500)}
  if ($request_method !~ "^(?:GET|HEAD)$") { return 404; }
  js_content fidfs.ask;
}
location @fidfs_peer {
  limit_conn fidfs_misses ${MISSES};
  # A status of its own distinguishes the limit from answers of the peer. Level info, because each miss would be a line.
  limit_conn_status 599;
  limit_conn_log_level info;
  error_page 599 = @fidfs_too_many;
  ${passing(settings, '@fidfs_others')}
}
location @fidfs_others {
  js_import fidfs from njs/elsewhere.js;
  recursive_error_pages on;
  ${errorPages(500)}
  js_content fidfs.askOthers;
}
# Subrequests of askOthers: HEAD to one node.
location = /.fidfs/ask {
  internal;
  ${errorPages(404)}
  proxy_pass $arg_origin/$fidfs_id$fidfs_link_args;
  # For whose picture the link may be signed.
  proxy_set_header X-Fidfs-Preset $fidfs_preset;
  ${toPeer(settings, '$arg_host', '$arg_name', '$arg_hmac')}
  proxy_read_timeout 2s;
  proxy_send_timeout 2s;
}
# Subrequest of ask: 204 if the daemon has a tombstone of the file.
location = /.fidfs/deleted {
  internal;
  ${errorPages(404)}
  proxy_pass http://fidfs_daemon/.fidfs/deleted/$fidfs_id;
  ${bareRequest()}
  # A daemon that hangs delays each miss by this much.
  proxy_connect_timeout 100ms;
  proxy_read_timeout 100ms;
  proxy_next_upstream off;
}
location @fidfs_deleted {
  add_header X-Fidfs-Deleted 1 always;
  ${problemAnswer(404, 'not-found', 'No such file here: it was deleted.')}
}
location @fidfs_holder {
  ${passing(settings, '@fidfs_unreached')}
}
location @fidfs_unreached {
  add_header Retry-After ${RETRY_AFTER} always;
  ${problemAnswer(503, 'unavailable', 'A node that may have this file cannot be reached; try again in a few seconds.')}
}
location @fidfs_too_many {
  add_header Retry-After ${RETRY_AFTER} always;
  ${problemAnswer(503, 'unavailable', 'Too many requests are waiting for other nodes; try again in a few seconds.')}
}
# Requests between the daemons of nodes.
location ^~ /.fidfs/peer {
  proxy_request_buffering off;
  proxy_buffering off;
  ${toDaemon}
}
`;
}
