import { fileURLToPath } from 'node:url';
import type { Settings } from '../daemon/config/settings.js';
import { quoted } from './quote.js';

/*
 * The web page: static files, which nginx serves like any others, and what it asks of the daemon.
 */

const DIRECTORY = fileURLToPath(new URL('../console', import.meta.url));

/** The page runs its own scripts only, talks to nobody else, and is shown in nobody's frame. */
const POLICY = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "worker-src 'self'"],
  ...["font-src 'self'", "img-src 'self' blob: data:", "base-uri 'none'", "form-action 'none'"],
  "frame-ancestors 'none'",
].join('; ');
/** The worker that hashes has a policy of its own: it runs WebAssembly, and needs nothing else. */
const WORKER_POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'";

const UNCHANGING = 'public, max-age=31536000, immutable';

/** A location's own headers take the place of those outside it, so each of the page's has them all. */
function headers(cacheControl: string, policy = POLICY): string {
  return `add_header Content-Security-Policy ${quoted(policy)};
  add_header X-Content-Type-Options nosniff;
  add_header Referrer-Policy no-referrer;
  add_header Cache-Control ${quoted(cacheControl)};`;
}

/** The locations of the page. `proxy` leads to the daemon; `readOnly` refuses what is neither GET nor HEAD. */
export function consolePage({ uploads, maxFileSize, publicUrl }: Settings, proxy: string, readOnly: string): string {
  // Redirects are relative: a proxy may serve all of this below a path.
  return `location = /console {
  return 301 console/;
}
location ^~ /console/ {
  ${readOnly}
  # 301 is nginx's answer to the name of a directory.
  error_page 301 403 404 =404 @fidfs_404;
  alias ${quoted(`${DIRECTORY}/`)};
  log_not_found off;
  gzip on;
  gzip_min_length 1000;
  gzip_types text/css text/javascript image/svg+xml;
  types {
    text/html html;
    text/css css;
    text/javascript js;
    image/svg+xml svg;
  }
  ${headers('no-cache')}
  # Their names change with their content.
  location ^~ /console/assets/ {
    ${readOnly}
    error_page 403 404 @fidfs_404;
    alias ${quoted(`${DIRECTORY}/assets/`)};
    ${headers(UNCHANGING)}
    location ~ "/(?<fidfs_worker>hash\\.worker-[^/]+\\.js)$" {
      ${readOnly}
      error_page 403 404 @fidfs_404;
      alias ${quoted(`${DIRECTORY}/assets/`, '$fidfs_worker')};
      ${headers(UNCHANGING, WORKER_POLICY)}
    }
  }
  # What the page has to know before anybody has given it a key.
  location = /console/settings.json {
    ${readOnly}
    types { }
    default_type application/json;
    ${headers('no-cache')}
    return 200 ${quoted(JSON.stringify({ uploads, maxFileSize, publicUrl }))};
  }
  location ^~ /console/api {
    ${proxy}
  }
}`;
}
