import { join } from 'node:path';
import type { Settings } from '../daemon/config/settings.js';
import { extensionsByType, servedType } from '../daemon/http/extension.js';
import { RETRY_AFTER } from '../daemon/operations/problems.js';
import { MARKER_NAME } from '../daemon/store/layout.js';
import fileId from '../file-id/file-id.js';
import { type AppenderPlace, appenderLocations, appenderNames } from './appenders.js';
import { compression } from './compression.js';
import { downloadHeaders } from './cors.js';
import { asksOwnGroup } from './elsewhere.js';
import { fileOf, numbersOf } from './files.js';
import { cachingOf, isSigned, linkErrorPages, linkedId, linkGuard } from './links.js';
import { errorPages, problemAnswer } from './problem-pages.js';
import { quoted, quotedInclude } from './quote.js';
import { addStorePath } from './short-names.js';
import { tokenErrorPages, tokenGuard } from './tokens.js';

/** Parameters of a location of downloads. */
interface Place {
  /** Whether other nodes are asked for a file that is not on this node. */
  asks: boolean;
  /** The directives that check FastDFS's token or the signed link; empty if none is needed. */
  guard: string;
  /** The directives of the warning that tokens are not checked; empty if they are. */
  tokenWarning: string;
}

/** Parameters of the include for `server` beyond the settings. */
export interface ServerPlace {
  /** Path of the directory with the media types and the cluster files. */
  directory: string;
  /** Number of file descriptors that each worker may cache (`open_file_cache max`). */
  openFiles: number;
  /** The extensions of the videos in which this nginx can seek (`?start=`): `mp4`, `flv`. */
  seeks: readonly string[];
}

const UNREADABLE = 'The disk of this node that may have this file cannot be read now; try again in a few seconds.';

/** Name of the file that exists once the log contains the warning about unchecked tokens. */
export const TOKEN_FILE = 'token-seen';

/** The kinds of download locations. `first` returns the directives that run before nginx looks for the file. */
const DOWNLOADS = {
  /** Most downloads: nothing but the file, one njs function. */
  plain: {
    prefix: '',
    module: 'last-modified',
    dates: 'before',
    first: (place: Place) => `${toMore(place)}${place.guard}`,
    disposition: '$fidfs_active',
  },
  /** With a date condition, a download name, a part of a video or an unchecked token of FastDFS. */
  more: {
    prefix: '/.fidfs/more',
    module: 'downloads',
    dates: 'before',
    first: ({ guard, tokenWarning }: Place) => `internal;
  ${guard}
  ${tokenWarning}
  if ($fidfs_condition) { rewrite ^/.fidfs/more(.*)$ /.fidfs/dated$1 last; }`,
    disposition: '$fidfs_disposition',
  },
  /** With a date condition that nginx would evaluate wrongly by the file's constant time; njs has evaluated it. */
  dated: {
    prefix: '/.fidfs/dated',
    module: 'downloads',
    dates: 'off',
    first: () => `internal;
  # Without the file the answer is 404 whatever the condition.
  if (!-f $request_filename) { return 404; }
  if ($fidfs_condition = failed) { return 412; }`,
    disposition: '$fidfs_disposition',
  },
} as const;

/**
 * Returns the locations of downloads. nginx maps the address to a file and sends it; njs decodes the creation time for
 * Last-Modified. Files below about 32 KB are read and sent with their headers in one write, which is faster than sendfile.
 * The outer location has ^~, because an operator's own nginx may have regular expressions such as one for .jpg.
 */
export function downloads(
  settings: Settings,
  { directory, openFiles, seeks }: ServerPlace,
  kind: keyof typeof DOWNLOADS,
): string {
  const { prefix, dates, first, disposition } = DOWNLOADS[kind];
  const hasTokens = settings.fastdfsTokenKey !== undefined;
  // njs keeps the module of the location that first calls a function, through rewrites; so the first one calls none before its rewrite.
  const module = moduleOf(settings, kind);
  const place: Place = {
    asks: asksOwnGroup(settings),
    guard: guardOf(settings),
    tokenWarning: hasTokens ? '' : tokenWarning(settings, directory),
  };
  const numbers = numbersOf(settings);
  const file = fileOf(settings);
  const created = '(?=.{4}(?<fidfs_created>.{8}))';
  const headers = `add_header Last-Modified $fidfs_last_modified;
  add_header Cache-Control ${cachingOf(settings)};
  add_header X-Content-Type-Options nosniff;
  add_header Content-Disposition ${disposition};
  ${downloadHeaders(settings)}`;
  const location = (name: string, sendfile: 'on' | 'off', more = '') => `
  location ~ "^${prefix}/${linkedId(settings, `${settings.group}/M(?<fidfs_m>${numbers})/(?<fidfs_file>[0-9A-F]{2}/[0-9A-F]{2}/${name})`)}\\z" {
  ${first(place)}
  alias ${file};
  sendfile ${sendfile};${more}
  }`;
  const missing = missingIn(settings);
  const errors = (missing: string) => errorsOf(settings, missing);
  const name = `${created}${fileId.NAME_PATTERN}(?<!-m)`;
  // `mp4` and `flv` are nginx's directives. It logs why it cannot seek: a broken file, or a part that is not in it.
  const seeking = (extension: string) => `${location(
    `${name}(?<=(?i:\\.${extension}))`,
    'on',
    `\n  ${extension};\n  error_page 500 = @fidfs_no_such_part;\n  ${errors(missing)}`,
  )}
  `;
  const videos = kind === 'plain' || settings.seeking === 'off' ? '' : seeks.map(seeking).join('');
  const compressed = '(?i:\\.svgz)';
  return `location ^~ ${prefix}/${settings.group}/ {
  js_import fidfs from njs/${module}.js;
  if_modified_since ${dates};
  ${headers}
  ${compression(settings)}
  ${errors(missing)}
  # Otherwise no error_page would apply after a redirect by error_page.
  recursive_error_pages on;
  log_not_found off;
  tcp_nopush off;
  # Cached entries are revalidated after 1 s, so a deleted file is served for 1 s at most.
  open_file_cache max=${openFiles} inactive=60s;
  open_file_cache_valid 1s;
  default_type application/octet-stream;
  include ${quotedInclude(`${directory}/fidfs-types.conf`)};
  types_hash_max_size 8192;
  types_hash_bucket_size 128;
  ${appenderNamesIn(settings, directory, kind)}${videos}${location(`(?=${fileId.SMALL_PATTERN})${name}(?<!${compressed})`, 'off')}
  # Packed files of FastDFS; one that has been unpacked is a plain file.
  ${location(`(?=${fileId.TRUNK_PATTERN}$)${name}(?<!${compressed})`, 'on', `\n  ${errors('= @fidfs_packed')}`)}
  ${location(`${name}(?<!${compressed})`, 'on')}
  # SVG that is stored compressed.
  ${location(`${name}(?<=${compressed})`, 'on', `\n  gzip off;\n  ${headers}\n  add_header Content-Encoding gzip;`)}
  # Not a well-formed ID, or one that only another node may have.
  ${kind === 'plain' ? `${addStorePath(settings.group)}\n  ${place.guard}` : ''}
  return 404;
}`;
}

/** The directive by which the location of most downloads leaves the others to one with more njs code. */
function toMore({ asks }: Pick<Place, 'asks'>): string {
  return `if ($fidfs_more) {${asks ? ' set $fidfs_uri $uri;' : ''} rewrite ^(.*)$ /.fidfs/more$1 last; }
  `;
}

/** Returns the location of the names of appenders; empty in those of downloads to which no appender is rewritten. */
function appenderNamesIn(settings: Settings, directory: string, kind: keyof typeof DOWNLOADS): string {
  // njs/signed.ts does not know all links.
  const isLeft = isSigned(settings);
  if (kind === 'dated' || (kind === 'more' && !isLeft)) return '';
  const more = kind === 'plain' && isLeft ? toMore({ asks: asksOwnGroup(settings) }) : '';
  const { prefix } = DOWNLOADS[kind];
  return `${appenderNames(settings, appenderPlace(settings, directory), { prefix, more })}
  `;
}

/** The njs module of a location of downloads. */
function moduleOf(settings: Settings, kind: keyof typeof DOWNLOADS): string {
  const { module } = DOWNLOADS[kind];
  if (isSigned(settings)) return module === 'downloads' ? 'signed-downloads' : 'signed';
  return settings.fastdfsTokenKey !== undefined && kind === 'plain' ? 'guarded' : module;
}

/** The directives that check FastDFS's token or the signed link of a file of this node's group. */
function guardOf(settings: Settings): string {
  return `${tokenGuard(settings)}${linkGuard(settings)}`;
}

/** What `error_page 404` is set to: the location of a miss. */
function missingIn(settings: Settings): string {
  return asksOwnGroup(settings) ? '= @fidfs_elsewhere' : '@fidfs_not_here';
}

/** The `error_page` directives of downloads: nginx inherits all of the outer level or none. */
function errorsOf(settings: Settings, missing: string): string {
  return `# 403: nginx is not permitted to open the file.
  error_page 403 = ${asksOwnGroup(settings) ? '@fidfs_elsewhere' : '@fidfs_unreadable'};
  error_page 404 ${missing};
  ${errorPages(400, 412, 413, 416, 500)}
  # nginx answers 301 to the name of a directory.
  error_page 301 =404 @fidfs_404;
  error_page 405 = @fidfs_other_method;
  ${tokenErrorPages(settings)}${linkErrorPages(settings)}`;
}

function appenderPlace(settings: Settings, directory: string): AppenderPlace {
  const alias = fileOf(settings);
  const errors = errorsOf(settings, missingIn(settings));
  return { directory, numbers: numbersOf(settings), alias, errors, guard: guardOf(settings) };
}

/** Returns the locations that send appenders. */
export function appenders(settings: Settings, { directory }: Pick<ServerPlace, 'directory'>): string {
  return appenderLocations(settings, appenderPlace(settings, directory));
}

/** Returns the directives that log a warning about an unchecked token, once, by njs/token-warning.ts. */
function tokenWarning({ serverId, peers }: Settings, directory: string): string {
  const servers = [serverId, ...peers.map(({ id }) => id)];
  const check = JSON.stringify({ said: join(directory, TOKEN_FILE), servers });
  return `set $fidfs_token_check ${quoted(check)};
  set $fidfs_unused $fidfs_token;`;
}

/**
 * Returns the location that ends a miss which no other node has answered. 404 means that the file does not exist, so the
 * answer is 503 if the store path cannot be read. nginx checks that without the daemon. Hits do not reach this location.
 */
export function notHere(settings: Settings): string {
  // The file exists: nginx is not permitted to open it, or it was stored just now. A node that asks no others has seen the 403.
  const isHere = asksOwnGroup(settings) ? '  if (-f $fidfs_store/data/$fidfs_file) { return 503; }\n' : '';
  // A store path that is only read has none.
  const marker = settings.readOnly
    ? ''
    : `  # The marker is missing, for example after an unmount.
  if (!-f $fidfs_store/${MARKER_NAME}) { return 503; }
`;
  return `location @fidfs_not_here {
  recursive_error_pages on;
  open_file_cache off;
  ${errorPages(404)} error_page 503 @fidfs_unreadable;
  # Another group, or a store path that this node does not have.
  if ($fidfs_store = "") { return 404; }
${marker}  # "." is found only with search permission on the directory.
  if (!-d $fidfs_store/data/.) { return 503; }
${isHere}  return 404;
}
location @fidfs_no_such_part {
  ${problemAnswer(416, 'range-not-satisfiable', 'The video has no such part, or is not what its extension says.')}
}
location @fidfs_unreadable {
  add_header Retry-After ${RETRY_AFTER} always;
  ${problemAnswer(503, 'unavailable', UNREADABLE)}
}`;
}

/** Returns the media types by extension, the same on every node; the include for `server` includes them. */
export function typesInclude(settings: Settings): string {
  const lines = [...extensionsByType()].map(
    ([type, extensions]) => `  ${quoted(servedType(type, settings))} ${extensions.join(' ')};`,
  );
  return `types {\n${lines.join('\n')}\n}\n`;
}
