import type { Settings } from '../daemon/config/settings.js';
import { publicPath } from '../daemon/http/public-address.js';
import { LIST_PATHS } from './lists.js';
import { errorPages } from './problem-pages.js';
import { quoted } from './quote.js';

/** First path segments of a node's own addresses, apart from its groups and store paths. */
const OWN = ['upload', 'tus', 'console', 'info', 'metadata', 'picture', 'healthz', 'readyz', 'metrics', '.fidfs'];

/**
 * Returns the locations that also serve the node below the path of `publicUrl`. Its addresses then work with a proxy that
 * strips the path, with one that does not, and without a proxy. Empty if there is no path, or it would hide other addresses.
 */
export function belowPublicPath({ publicUrl, group, peers, legacy }: Settings): string {
  const path = publicUrl === undefined ? '' : publicPath(publicUrl);
  const [, first = ''] = path.split('/');
  const groups = [group, ...[...peers, ...legacy].map((other) => other.group)];
  const isOwn = [...OWN, ...groups].includes(first) || /^M[0-9A-F]{2}$/.test(first);
  if (path === '' || isOwn) return '';
  // A rewritten request counts as internal, so the pattern excludes /.fidfs. It strips a repeated path in one step.
  const pattern = `(?s)^(?:${path.replaceAll('.', '[.]')})+(/(?![.]fidfs).*)`;
  // The address of the path itself only leads to the page, so that of a list comes first.
  const toPage = `location = ${quoted(path)} {
  return 301 ${quoted(`${path.slice(path.lastIndexOf('/') + 1)}/`)};
}
`;
  return `${LIST_PATHS.includes(path) ? '' : toPage}location ^~ ${quoted(`${path}/`)} {
  ${errorPages(400, 404, 500)}
  rewrite ${quoted(pattern)} $1 last;
  return 404;
}
`;
}
