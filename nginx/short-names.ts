import { PRESET_PATTERN } from '../daemon/config/pictures.js';
import { clusterGroups, type Settings } from '../daemon/config/settings.js';
import { errorPages } from './problem-pages.js';

/*
 * Names that are shorter than an ID, as in the addresses of FastDFS's nginx module: without the first store path
 * (`/group1/00/00/<name>`), and, in a cluster of one group, without the group (`/M00/00/00/<name>`, `/00/00/<name>`). A rewrite makes
 * whole ones of them, so everything that follows sees those only. \z, because $ also matches before a line feed at the end.
 */

const FILE = '[0-9A-F]{2}/[0-9A-F]{2}/[A-Za-z0-9._-]+';
const STORE_PATH = 'M[0-9A-F]{2}';

/** Returns the directive, for the location of a group, that adds the store path. */
export function addStorePath(group: string): string {
  return `rewrite "^/${group}/(${FILE})\\z" /${group}/M00/$1 last;`;
}

/**
 * Returns the locations of names without the group; empty if there are several groups. The locations of store paths have ^~,
 * because an operator's own nginx may have regular expressions such as one for .jpg; of directories there are too many for that.
 */
export function withoutGroup(settings: Settings): string {
  const [group = '', ...others] = clusterGroups(settings);
  if (others.length > 0) return '';
  const storePaths = settings.storePaths
    .map((_, number) => `M${(number + 0x100).toString(16).toUpperCase().slice(1)}`)
    .filter((storePath) => storePath !== group && settings.legacy.every((legacy) => legacy.group !== storePath));
  const locations = storePaths.map(
    (storePath) => `location ^~ /${storePath}/ {
  ${errorPages(404)}
  recursive_error_pages on;
  rewrite "^/(${storePath}/${FILE})\\z" /${group}/$1 last;
  return 404;
}
`,
  );
  return `${locations.join('')}location ~ "^/${FILE}\\z" {
  rewrite "^/(${FILE})\\z" /${group}/M00/$1 last;
}
`;
}

/** Returns the directives for `/info/`. */
export function wholeInformation(settings: Settings): string {
  return wholeNames(settings, 'info', 'break');
}

/** Returns the directives for `/picture/<preset>/`. */
export function wholePicture(settings: Settings): string {
  return wholeNames(settings, `picture/${PRESET_PATTERN}`, 'last');
}

function wholeNames(settings: Settings, prefix: string, flag: 'break' | 'last'): string {
  const [group = '', ...others] = clusterGroups(settings);
  const one = `rewrite "^/(${prefix})/(${STORE_PATH}/${FILE})\\z" /$1/${group}/$2 ${flag};
  rewrite "^/(${prefix})/(${FILE})\\z" /$1/${group}/M00/$2 ${flag};
  `;
  return `${others.length > 0 ? '' : one}rewrite "^/(${prefix})/((?!${STORE_PATH}/)[A-Za-z0-9_-]{1,16})/(${FILE})\\z" /$1/$2/M00/$3 ${flag};`;
}
