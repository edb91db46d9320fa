import type { Settings } from '../daemon/config/settings.js';
import { publicPath } from '../daemon/http/public-address.js';
import { errorPages } from './problem-pages.js';
import { quoted } from './quote.js';

/** The first parts of a node's own addresses, apart from its groups. */
const OWN = ['upload', 'tus', 'console', 'info', 'healthz', 'readyz', 'metrics', '.fidfs'];

/**
 * For `server`: with a path in `publicUrl` the node answers below that path, too. So its addresses are right whether a
 * proxy takes the path off or not, and for those who come past the proxy. Empty where the path would hide other addresses.
 */
export function belowPublicPath({ publicUrl, group, peers }: Settings): string {
  const path = publicUrl === undefined ? '' : publicPath(publicUrl);
  const [, first = ''] = path.split('/');
  if (path === '' || [...OWN, group, ...peers.map((peer) => peer.group)].includes(first)) return '';
  // A rewritten request counts as internal, and must not reach the locations that are. A repeated path is taken off at once.
  const pattern = `(?s)^(?:${path.replaceAll('.', '[.]')})+(/(?![.]fidfs).*)`;
  return `location = ${quoted(path)} {
  return 301 ${quoted(`${path.slice(path.lastIndexOf('/') + 1)}/`)};
}
location ^~ ${quoted(`${path}/`)} {
  ${errorPages(400, 404, 500)}
  rewrite ${quoted(pattern)} $1 last;
  return 404;
}
`;
}
