/*
 * In place of njs/downloads.ts where downloads need a signed link; of pictures and appenders, too.
 */
import downloads from './downloads.js';
import check from './link-check.js';

export default {
  lastModified: downloads.lastModified,
  dateCondition: downloads.dateCondition,
  downloadName: downloads.downloadName,
  legacyArgs: downloads.legacyArgs,
  forgetCaching: downloads.forgetCaching,
  tokenSeen: downloads.tokenSeen,
  tokenState: downloads.tokenState,
  linkState: check.fileState,
  pictureLinkState: check.pictureState,
};
