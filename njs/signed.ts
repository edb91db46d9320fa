/*
 * In place of njs/last-modified.ts where downloads need a signed link: no more than that, for the same reason.
 */
import hot from './last-modified.js';
import check from './link-check.js';

export default { lastModified: hot.lastModified, linkState: check.fileState, pictureLinkState: check.pictureState };
