import type { Settings } from '../daemon/config/settings.js';
import { pictureLocation } from './picture.js';
import { problemAnswer } from './problem-pages.js';

/*
 * `notFoundImage`: a file that is sent with status 404 to requests for a picture, such as those of <img>.
 */

const LOCATION = '/.fidfs/not-found-image';

/** Returns the map for `http`; `$fidfs_wants_image` is 1 for a request for a picture. */
export function wantsImage({ notFoundImage }: Settings): string {
  if (notFoundImage === undefined) return '';
  // Browsers send Sec-Fetch-Dest to secure origins only. For <img> their Accept begins with a type of pictures; for a page it
  // names such types, too, behind text/html.
  return `map "$http_sec_fetch_dest $http_accept" $fidfs_wants_image {
  default 0;
  "~^image " 1;
  "~*^ image/" 1;
  "~*^ (?!.*(?:text/html|json)).*image/" 1;
}
`;
}

/** Returns the directives, for the location of the status 404, that lead such requests to the file. */
export function orNotFoundImage({ notFoundImage }: Settings): string {
  if (notFoundImage === undefined) return '';
  return `add_header Vary "Accept, Sec-Fetch-Dest" always;
  recursive_error_pages on;
  error_page 404 =404 ${LOCATION};
  if ($fidfs_wants_image) { return 404; }
  `;
}

/** Returns the location of the file. */
export function notFoundImageLocation(settings: Settings): string {
  const { notFoundImage } = settings;
  if (notFoundImage === undefined) return '';
  const fallback = '@fidfs_no_not_found_image';
  return `${pictureLocation(settings, notFoundImage, LOCATION, fallback)}location ${fallback} {
  ${problemAnswer(404, 'not-found', 'No such file here, and the notFoundImage of the settings cannot be read.')}
}
`;
}
