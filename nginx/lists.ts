import type { Settings } from '../daemon/config/settings.js';
import { publicPath } from '../daemon/http/public-address.js';

/** Addresses that are exact locations, of lists and of requests for many files. */
export const LIST_PATHS = ['/files', '/stat', '/delete'];

/**
 * Returns the locations of `LIST_PATHS`, which the daemon answers. If one of them is the path of `publicUrl`, browsers, which have no
 * key, are redirected from it as from any other such path.
 * @param proxy the directives that proxy to the daemon
 */
export function lists({ publicUrl }: Pick<Settings, 'publicUrl'>, proxy: string): string {
  const base = publicUrl === undefined ? '' : publicPath(publicUrl);
  const toPage = (path: string) => `\n  if ($http_authorization = "") { return 301 ${path.slice(1)}/; }`;
  return LIST_PATHS.map(
    (path) => `location = ${path} {${path === base ? toPage(path) : ''}
  client_max_body_size 256k;
  client_body_buffer_size 256k;
  ${proxy}
}
`,
  ).join('');
}
