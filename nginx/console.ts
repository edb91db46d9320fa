import { fileURLToPath } from 'node:url';
import type { Settings } from '../daemon/config/settings.js';
import { quoted } from './quote.js';

/*
 * The web page: static files served by nginx, and its API, which the daemon answers.
 */

const DIRECTORY = fileURLToPath(new URL('../console', import.meta.url));

/** Content-Security-Policy of the page: scripts and connections of its own origin only, no embedding in frames. */
const POLICY = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "worker-src 'self'"],
  ...["font-src 'self'", "img-src 'self' blob: data:", "base-uri 'none'", "form-action 'none'"],
  "frame-ancestors 'none'",
].join('; ');
/** Policy of the hashing worker, which runs WebAssembly and needs nothing else. */
const WORKER_POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'";

const UNCHANGING = 'public, max-age=31536000, immutable';

/** `add_header` in a location replaces all inherited headers, so each location of the page repeats the whole list. */
function headers(cacheControl: string, policy = POLICY): string {
  return `add_header Content-Security-Policy ${quoted(policy)};
  add_header X-Content-Type-Options nosniff;
  add_header Referrer-Policy no-referrer;
  add_header Cache-Control ${quoted(cacheControl)};`;
}

/** Returns the locations of the page. `proxy` are the directives to the daemon; `readOnly` rejects all but GET and HEAD. */
export function consolePage(
  { uploads, maxFileSize, publicUrl, urlHasGroup }: Settings,
  proxy: string,
  readOnly: string,
): string {
  // Redirects are relative, because a proxy may serve the node below a path.
  return `location = /console {
  return 301 console/;
}
location ^~ /console/ {
  ${readOnly}
  # nginx answers 301 to the name of a directory.
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
  # The file names contain a hash of the content, so caches may keep them.
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
  # The settings that the page needs before a key is entered.
  location = /console/settings.json {
    ${readOnly}
    types { }
    default_type application/json;
    ${headers('no-cache')}
    return 200 ${quoted(JSON.stringify({ uploads, maxFileSize, publicUrl, urlHasGroup }))};
  }
  location ^~ /console/api {
    client_max_body_size 256k;
    client_body_buffer_size 256k;
    ${proxy}
  }
}`;
}
