import { join } from 'node:path';
import type { Settings } from '../daemon/config/settings.js';
import { extensionsByType } from '../daemon/http/extension.js';
import { RETRY_AFTER } from '../daemon/http/problems.js';
import { MARKER_NAME } from '../daemon/store/layout.js';
import fileId from '../file-id/file-id.js';
import { compression, servedType } from './compression.js';
import { asksOwnGroup } from './elsewhere.js';
import { errorPages, problemAnswer } from './problem-pages.js';
import { quoted, quotedInclude } from './quote.js';

/** What the locations depend on besides the settings. */
interface Place {
  /** Whether other nodes are asked for what is not here. */
  asks: boolean;
  /** What njs/tokens.ts must know, as a value of nginx's. */
  tokenCheck: string;
}

/** What the include for `server` depends on besides the settings. */
export interface ServerPlace {
  /** Where the types lie, and the daemon's word on who is up. */
  directory: string;
  /** How many files each worker may keep open to send them again; each is a descriptor of its own. */
  openFiles: number;
}

const UNREADABLE = 'The disk of this node that may have this file cannot be read now; try again in a few seconds.';

/** The file that says that a token was seen, and that the log says so. */
export const TOKEN_FILE = 'token-seen';

/** What a request may ask for besides a file, and what its location does about it before the file is sent. */
const DOWNLOADS = {
  /** Nothing, as most: one function of njs runs. */
  plain: {
    prefix: '',
    module: 'last-modified',
    dates: 'before',
    first: ({ asks }: Place) =>
      `if ($fidfs_more) {${asks ? ' set $fidfs_uri $uri;' : ''} rewrite ^(.*)$ /.fidfs/more$1 last; }`,
    disposition: '$fidfs_active',
  },
  /** A date, a name, or a token of FastDFS's. */
  more: {
    prefix: '/.fidfs/more',
    module: 'downloads',
    dates: 'before',
    first: ({ tokenCheck }: Place) => `internal;
  set $fidfs_token_check ${tokenCheck};
  set $fidfs_unused $fidfs_token;
  if ($fidfs_condition) { rewrite ^/.fidfs/more(.*)$ /.fidfs/dated$1 last; }`,
    disposition: '$fidfs_disposition',
  },
  /** A date for which the file's constant time may not stand for the ID's second: njs has decided. */
  dated: {
    prefix: '/.fidfs/dated',
    module: 'downloads',
    dates: 'off',
    first: () => `internal;
  # A file that is not here is 404 whatever the condition.
  if (!-f $request_filename) { return 404; }
  if ($fidfs_condition = failed) { return 412; }`,
    disposition: '$fidfs_disposition',
  },
} as const;

/**
 * The locations of downloads. nginx opens the file that the address names and sends it; njs decodes the creation second
 * for Last-Modified. Small files are read and sent with their headers in one go, which beats sendfile up to some 32 KB.
 * All lies within a location with ^~, because somebody's own nginx may have a location for everything that ends in .jpg.
 */
export function downloads(
  settings: Settings,
  { directory, openFiles }: ServerPlace,
  kind: keyof typeof DOWNLOADS,
): string {
  const { prefix, module, dates, first, disposition } = DOWNLOADS[kind];
  const asks = asksOwnGroup(settings);
  const servers = [settings.serverId, ...settings.peers.map(({ id }) => id)];
  const tokenCheck = quoted(JSON.stringify({ said: join(directory, TOKEN_FILE), servers }));
  const numbers = settings.storePaths
    .map((_, number) => (number + 0x100).toString(16).toUpperCase().slice(1))
    .join('|');
  // With one store path there is nothing to look up.
  const [only = '', ...others] = settings.storePaths;
  const file =
    others.length === 0 ? quoted(`${only}/data/`, '$fidfs_file') : quoted('', '$fidfs_store/data/$fidfs_file');
  const created = '(?=.{4}(?<fidfs_created>.{8}))';
  const headers = `add_header Last-Modified $fidfs_last_modified;
  add_header Cache-Control "public, max-age=31536000, immutable";
  add_header X-Content-Type-Options nosniff;
  add_header Content-Disposition ${disposition};`;
  const location = (name: string, sendfile: 'on' | 'off', more = '') => `
  location ~ "^${prefix}/${settings.group}/M(?<fidfs_m>${numbers})/(?<fidfs_file>[0-9A-F]{2}/[0-9A-F]{2}/${name})$" {
  ${first({ asks, tokenCheck })}
  alias ${file};
  sendfile ${sendfile};${more}
  }`;
  const name = `${created}${fileId.NAME_PATTERN}(?<!-m)`;
  const compressed = '(?i:\\.svgz)';
  return `location ^~ ${prefix}/${settings.group}/ {
  js_import fidfs from njs/${module}.js;
  if_modified_since ${dates};
  ${headers}
  ${compression(settings)}
  # 403 is a file that nginx is not allowed to open.
  error_page 403 = ${asks ? '@fidfs_elsewhere' : '@fidfs_unreadable'};
  error_page 404 ${asks ? '= @fidfs_elsewhere' : '@fidfs_not_here'};
  ${errorPages(400, 412, 413, 416, 500)}
  # 301 is nginx's answer to the name of a directory.
  error_page 301 =404 @fidfs_404;
  # Without it what an error_page sends on would have no error pages any more.
  recursive_error_pages on;
  error_page 405 = @fidfs_other_method;
  log_not_found off;
  tcp_nopush off;
  # An entry is looked at again after a second, so a deleted file is gone by then.
  open_file_cache max=${openFiles} inactive=60s;
  open_file_cache_valid 1s;
  default_type application/octet-stream;
  include ${quotedInclude(`${directory}/fidfs-types.conf`)};
  types_hash_max_size 8192;
  types_hash_bucket_size 128;
  ${location(`(?=${fileId.SMALL_PATTERN})${name}(?<!${compressed})`, 'off')}
  ${location(`${name}(?<!${compressed})`, 'on')}
  # SVG that is stored compressed.
  ${location(`${name}(?<=${compressed})`, 'on', `\n  gzip off;\n  ${headers}\n  add_header Content-Encoding gzip;`)}
  # Not a well-formed ID.
  return 404;
}`;
}

/**
 * Where a miss ends that no other node has answered: 404 says that there is no such file, and so is the answer only where
 * the store path can be looked at. nginx sees that by itself, whatever the daemon does; hits do not come here.
 */
export function notHere(settings: Settings): string {
  // It is here, and nginx may not open it; or it came just now. A node that asks nobody knows the former by the 403.
  const isHere = asksOwnGroup(settings) ? '  if (-f $fidfs_store/data/$fidfs_file) { return 503; }\n' : '';
  return `location @fidfs_not_here {
  recursive_error_pages on;
  open_file_cache off;
  ${errorPages(404)} error_page 503 @fidfs_unreadable;
  # Of another group, or on a store path that is not among those of this node.
  if ($fidfs_store = "") { return 404; }
  # As after an unmount.
  if (!-f $fidfs_store/${MARKER_NAME}) { return 503; }
  # The dot is found only by those who may look into the directory.
  if (!-d $fidfs_store/data/.) { return 503; }
${isHere}  return 404;
}
location @fidfs_unreadable {
  add_header Retry-After ${RETRY_AFTER} always;
  ${problemAnswer(503, 'unavailable', UNREADABLE)}
}`;
}

/** The media types by extension, the same on every node; the server include includes it. */
export function typesInclude(settings: Settings): string {
  const lines = [...extensionsByType()].map(
    ([type, extensions]) => `  ${quoted(servedType(type, settings))} ${extensions.join(' ')};`,
  );
  return `types {\n${lines.join('\n')}\n}\n`;
}
