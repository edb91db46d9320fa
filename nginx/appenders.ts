import type { Settings } from '../daemon/config/settings.js';
import fileId from '../file-id/file-id.js';
import { compression } from './compression.js';
import { downloadHeaders } from './cors.js';
import { asksOwnGroup, passing } from './elsewhere.js';
import { isSigned, linkedId } from './links.js';
import { errorPages } from './problem-pages.js';
import { quotedInclude } from './quote.js';

/*
 * Appenders, the files that change: they are not cached, and a node that does not change one asks the node that does first, because only
 * that is sure to have the last version.
 */

/** The prefix of the internal addresses under which appenders on this node's disk are sent. */
const PREFIX = '/.fidfs/appender';

/** What the locations of appenders have in common with those of other downloads. */
export interface AppenderPlace {
  /** Path of the directory with the media types. */
  directory: string;
  /** The regular expression of the store paths' numbers. */
  numbers: string;
  /** The directive that maps a name to its file. */
  alias: string;
  /** The `error_page` directives of downloads. */
  errors: string;
  /** The directives that check FastDFS's token or the signed link. */
  guard: string;
}

/**
 * Returns the location, nested in that of downloads, for the names of appenders. `prefix` is that of the location around it, by which
 * `more` is empty or a rewrite to another one.
 */
export function appenderNames(
  settings: Settings,
  { numbers, errors, guard }: AppenderPlace,
  { prefix, more }: { prefix: string; more: string },
): string {
  const name = `M(?:${numbers})/[0-9A-F]{2}/[0-9A-F]{2}/${fileId.APPENDER_PATTERN}`;
  const go = asksOwnGroup(settings)
    ? `${prefix === '' ? 'set $fidfs_uri $uri;\n  ' : ''}${errors}
  error_page 418 = @fidfs_newest;
  return 418;`
    : guard === ''
      ? `rewrite ^(.*)$ ${PREFIX}$1 last;`
      : `${errors}
  error_page 418 = @fidfs_checked_appender;
  return 418;`;
  return `location ~ "^${prefix}/${linkedId(settings, `${settings.group}/${name}`)}\\z" {
  ${more}${guard}
  if ($request_method !~ "^(?:GET|HEAD)$") { return 405; }
  ${go}
  }`;
}

/** Returns the locations that send appenders, from this node's disk or from the node that changes them. */
export function appenderLocations(settings: Settings, { directory, numbers, alias, errors }: AppenderPlace): string {
  const name = `M(?<fidfs_m>${numbers})/(?<fidfs_file>[0-9A-F]{2}/[0-9A-F]{2}/${fileId.APPENDER_PATTERN})`;
  return `location ^~ ${PREFIX}/${settings.group}/ {
  internal;
  js_import fidfs from njs/downloads.js;
  # The file's time has a resolution of a second, and two changes in one would get the same ETag and Last-Modified.
  etag off;
  if_modified_since off;
  add_header Cache-Control ${isSigned(settings) ? '"private, no-cache"' : 'no-cache'};
  add_header X-Content-Type-Options nosniff;
  add_header Content-Disposition $fidfs_disposition;
  ${downloadHeaders(settings)}
  ${compression(settings)}
  ${errors}
  recursive_error_pages on;
  log_not_found off;
  open_file_cache off;
  default_type application/octet-stream;
  include ${quotedInclude(`${directory}/fidfs-types.conf`)};
  types_hash_max_size 8192;
  types_hash_bucket_size 128;
  location ~ "^${PREFIX}/${settings.group}/${name}\\z" {
  alias ${alias};
  sendfile on;
  }
}
# A redirect to a named location makes njs take the module of the next one, which knows download names.
location @fidfs_checked_appender {
  rewrite ^(?:/[.]fidfs/more)?(.*)$ ${PREFIX}$1 last;
}
${asksOwnGroup(settings) ? elsewhere(settings) : ''}`;
}

function elsewhere(settings: Settings): string {
  return `location @fidfs_newest {
  js_import fidfs from njs/elsewhere.js;
  recursive_error_pages on;
  ${errorPages(404, 413, 500)}
  js_content fidfs.newest;
}
location @fidfs_changer {
  ${passing(settings, '@fidfs_appender_here')}
}
location @fidfs_appender_here {
  rewrite ^ ${PREFIX}$fidfs_uri last;
}
`;
}
