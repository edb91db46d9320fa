import { allPresets, presetDigest } from '../daemon/config/pictures.js';
import type { Settings } from '../daemon/config/settings.js';
import fileId from '../file-id/file-id.js';
import { bareRequest } from './bare-request.js';
import { downloadHeaders, TO_PREFLIGHT } from './cors.js';
import { asksOwnGroup, passing } from './elsewhere.js';
import { fileOf, numbersOf } from './files.js';
import { cachingOf, isSigned, linkErrorPages, linkGuard } from './links.js';
import { errorPages, problemAnswer } from './problem-pages.js';
import { quoted } from './quote.js';
import { wholePicture } from './short-names.js';
import { tokenErrorPages, tokenGuard } from './tokens.js';

/*
 * Pictures, `/picture/<preset>/<id>`: made by the daemon, kept by nginx. A picture is made and kept on a node that has the original:
 * nginx looks for that first, so the pictures of a deleted file are gone with it, without a search through the cache.
 */

/** Limit of concurrent requests for pictures to other nodes. Each may wait there for as long as it takes to make one. */
const PASSED = 128;

/** How long pictures that nobody asks for are kept. */
const INACTIVE = '30d';
/** How long a request waits for the same picture that another one has asked for, and longer than a picture may take. In seconds. */
const LOCK_SECONDS = 60;

/** Bytes of the cache for each MiB of its list in memory: 8,000 pictures of 8 KB. */
const BYTES_PER_LIST_MIB = 2 ** 26;

function presetNames(settings: Settings): string {
  return [...allPresets(settings).keys()].join('|');
}

/** A regular expression for an Accept header that names a type, with a weight other than 0. */
function accepts(type: string): string {
  const refused = ';[^,]*?(?<![A-Za-z0-9])q[ \\t]*=[ \\t]*0(?:\\.0*)?[ \\t]*(?:[;,]|$)';
  return `"~*(?:^|,)[ \\t]*${type}[ \\t]*(?!${refused})(?:[;,]|$)"`;
}

/**
 * Returns the directives for `http`. `cache` is the path of the cache, of which each nginx has its own, because its files belong to the user of
 * its workers.
 */
export function picturesHttp(settings: Settings, cache: string): string {
  const list = Math.min(64, Math.max(1, Math.round(settings.pictureCache / BYTES_PER_LIST_MIB)));
  const digests = [...allPresets(settings)].map(([name, preset]) => `  /${name} ${presetDigest(preset)};`);
  return `proxy_cache_path ${quoted(cache)} levels=1:2 keys_zone=fidfs_pictures:${list}m max_size=${settings.pictureCache} min_free=64m inactive=${INACTIVE} use_temp_path=off;
# Part of the keys of the cache: a preset that is changed makes new pictures. A name such as "default" without the slash would be a parameter of map.
map /$fidfs_preset $fidfs_preset_digest {
  default "";
${digests.join('\n')}
}
map $http_accept $fidfs_accepts_avif {
  default "";
  ${accepts('image/avif')} image/avif;
}
map $http_accept $fidfs_accepts_webp {
  default "";
  ${accepts('image/webp')} image/webp;
}
${settings.peers.length === 0 ? '' : 'limit_conn_zone fidfs zone=fidfs_picture_requests:32k;\n'}`;
}

/** Returns the directives that decide whether a request may have a picture. They precede everything else in its location. */
function guard(settings: Settings): string {
  return `${tokenGuard(settings)}${linkGuard(settings, 'picture')}`;
}

/** Returns the `js_import` of the guard; empty if it calls no njs. */
function moduleOf(settings: Settings): string {
  if (isSigned(settings)) return 'js_import fidfs from njs/signed-downloads.js;';
  return settings.fastdfsTokenKey === undefined ? '' : 'js_import fidfs from njs/guarded.js;';
}

/** Returns the locations of pictures. */
export function pictures(settings: Settings): string {
  const presets = presetNames(settings);
  const { group, peers } = settings;
  const missing = asksOwnGroup(settings) ? '= @fidfs_elsewhere' : '@fidfs_not_here';
  const errors = `${errorPages(400, 405, 412, 413, 416, 500)}
  error_page 502 504 =503 @fidfs_503;
  ${tokenErrorPages(settings)}${linkErrorPages(settings)}`;
  const method = `${TO_PREFLIGHT}
  if ($request_method !~ "^(?:GET|HEAD)$") { return 405; }`;
  // The ID is what njs asks the other nodes for.
  const asked = peers.length === 0 ? '' : '\n  set $fidfs_uri /$fidfs_original;';
  const name = (pattern: string) =>
    `(?<fidfs_original>${group}/M(?<fidfs_m>${numbersOf(settings)})/(?<fidfs_file>[0-9A-F]{2}/[0-9A-F]{2}/${pattern}))`;
  const location = (
    pattern: string,
    directives: string,
    otherwise = missing,
  ) => `location ~ "^/picture/(?<fidfs_preset>${presets})/${name(pattern)}\\z" {
  ${errors}
  error_page 404 ${otherwise};
  ${guard(settings)}
  ${method}${asked}
  ${directives}
  }`;
  const plain = `alias ${fileOf(settings)};
  if (!-f $request_filename) { return 404; }
  ${made(settings)}
  ${kept()}`;
  return `location ^~ /picture/ {
  ${moduleOf(settings)}
  recursive_error_pages on;
  open_file_cache off;
  log_not_found off;
  ${errors}
  # Its content changes.
  ${location(fileId.APPENDER_PATTERN, 'error_page 415 @fidfs_picture_of_appender;\n  return 415;')}
  # Packed files of FastDFS; one that has been unpacked is a plain file.
  ${location(`(?=${fileId.TRUNK_PATTERN}$)${fileId.NAME_PATTERN}`, plain, '= @fidfs_picture_of_packed')}
  ${location(`${fileId.NAME_PATTERN}(?<!-m)`, plain)}
  location ~ "^/picture/(?<fidfs_preset>${presets})/(?<fidfs_original>(?s).*)\\z" {
  ${errors}
  error_page 404 ${peers.length === 0 ? '@fidfs_404' : '= @fidfs_elsewhere'};
  ${wholePicture(settings)}
  ${guard(settings)}
  ${method}${asked}
  return 404;
  }
  error_page 404 @fidfs_no_such_preset;
  return 404;
}
# nginx cannot see whether a packed file is deleted, so these pictures are not kept.
location @fidfs_picture_of_packed {
  recursive_error_pages on;
  proxy_intercept_errors on;
  error_page 404 ${missing};
  error_page 502 504 =503 @fidfs_503;
  ${made(settings)}
}
location @fidfs_picture_of_appender {
  ${problemAnswer(415, 'not-a-picture', 'No pictures are made of appender files, which can change.')}
}
location @fidfs_no_such_preset {
  ${problemAnswer(404, 'no-such-preset', 'The setting pictures of this node has no preset of this name; the preset console always exists.')}
}
${peers.length === 0 ? '' : elsewhere(settings)}`;
}

/** The directives that pass a request to this node's daemon, which makes the picture. */
function made(settings: Settings): string {
  return `proxy_pass http://fidfs_daemon/picture/$fidfs_preset/$fidfs_original;
  ${bareRequest()}
  proxy_set_header X-Request-Id $request_id;
  proxy_set_header X-Fidfs-Accepted "$fidfs_accepts_avif $fidfs_accepts_webp";
  proxy_connect_timeout 2s;
  proxy_read_timeout ${LOCK_SECONDS}s;
  proxy_next_upstream off;
  proxy_buffer_size 16k;
  proxy_buffers 8 32k;
  # The time of the ID, which is the same for all pictures of a file.
  if_modified_since before;
  max_ranges 0;
  gzip off;
  add_header Cache-Control ${cachingOf(settings, 'picture')};
  add_header Vary Accept;
  add_header X-Content-Type-Options nosniff;
  ${downloadHeaders(settings, true)}`;
}

/** The directives that keep what the daemon answers. */
function kept(): string {
  return `proxy_cache fidfs_pictures;
  proxy_cache_key "$fidfs_preset_digest $fidfs_accepts_avif $fidfs_accepts_webp $fidfs_original";
  proxy_cache_valid 200 365d;
  # No other attempt for each request: it may have taken all the time and memory that there is for one.
  proxy_cache_valid 415 10m;
  proxy_cache_lock on;
  proxy_cache_lock_timeout ${LOCK_SECONDS}s;
  proxy_cache_lock_age ${LOCK_SECONDS}s;`;
}

/** Returns the locations that pass a request to another node, as those for files in elsewhere.ts. */
function elsewhere(settings: Settings): string {
  const how = { prefix: 'picture/$fidfs_preset/', passed: [415, 501], headers: ['Accept'], timeout: LOCK_SECONDS };
  return `location @fidfs_picture_peer {
  limit_conn fidfs_picture_requests ${PASSED};
  limit_conn_status 599;
  limit_conn_log_level info;
  error_page 599 = @fidfs_too_many;
  ${passing(settings, '@fidfs_others', how)}
}
location @fidfs_picture_holder {
  ${passing(settings, '@fidfs_unreached', how)}
}
`;
}
