import type { Settings } from '../daemon/config/settings.js';
import { bareRequest } from './bare-request.js';
import { downloadHeaders } from './cors.js';
import { asksOwnGroup } from './elsewhere.js';
import { cachingOf } from './links.js';
import { errorPages } from './problem-pages.js';

/**
 * Returns the location of the packed (trunk) files of FastDFS, which the daemon reads from the trunk file. nginx makes the
 * ranges. The captures are those of the download location that has not found a plain file.
 */
export function packed(settings: Settings): string {
  const asks = asksOwnGroup(settings);
  const conditions = ['If-Match', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since'];
  const headers = conditions.map((one) => `proxy_set_header ${one} $http_${one.toLowerCase().replaceAll('-', '_')};`);
  return `location @fidfs_packed {
  js_import fidfs from njs/downloads.js;
  recursive_error_pages on;
  proxy_intercept_errors on;
  error_page 404 ${asks ? '= @fidfs_elsewhere' : '@fidfs_not_here'};
  # Without the daemon the file may be here; a node that has it as a plain file can send it.
  error_page 500 502 503 504 = ${asks ? '@fidfs_elsewhere' : '@fidfs_unreadable'};
  ${errorPages(412, 416)}
  proxy_pass http://fidfs_daemon/.fidfs/packed/${settings.group}/M$fidfs_m/$fidfs_file;
  ${bareRequest()}
  ${headers.join('\n  ')}
  proxy_connect_timeout 2s;
  proxy_read_timeout 5s;
  proxy_force_ranges on;
  proxy_max_temp_file_size 0;
  add_header Cache-Control ${cachingOf(settings)};
  add_header X-Content-Type-Options nosniff;
  add_header Content-Disposition $fidfs_disposition;
  ${downloadHeaders(settings)}
}`;
}
