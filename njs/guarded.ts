/*
 * In place of njs/last-modified.ts where downloads need a token: no more than that, for the same reason.
 */
import hot from './last-modified.js';
import check from './token-check.js';

export default { lastModified: hot.lastModified, tokenState: check.state };
