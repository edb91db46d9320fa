/*
 * What runs inside nginx for downloads that ask for more than a file: with a date, or under a name. No state and no work
 * at top level: njs 0.7.9 runs top-level code for every request, and under QuickJS (njs 1.0) it would be shared.
 */
import createdOf from '../file-id/created.js';
import download from './download.js';
import hot from './last-modified.js';
import tokens from './tokens.js';

/**
 * `$fidfs_date_condition`: what If-Modified-Since and If-Unmodified-Since say of the ID's second, asked only when one
 * of them came. nginx itself compares with the file's time, which is the same constant for all files.
 * `modified`: send it; `failed`: 412; empty: nginx's own answer is right.
 */
function dateCondition(r: NginxHTTPRequest): string {
  const created = createdOf(r.variables.fidfs_created as string) * 1000;
  const unmodifiedSince = r.headersIn['If-Unmodified-Since'];
  // RFC 9110, 13.2.2: each date counts only where its entity-tag counterpart is absent.
  if (unmodifiedSince && !r.headersIn['If-Match'] && Date.parse(unmodifiedSince) < created) return 'failed';
  const modifiedSince = r.headersIn['If-Modified-Since'];
  if (!modifiedSince || r.headersIn['If-None-Match'] || (r.method !== 'GET' && r.method !== 'HEAD')) return '';
  // A date that njs cannot read, such as one in an obsolete form of HTTP's, says nothing: the file is sent.
  return Date.parse(modifiedSince) >= created ? '' : 'modified';
}

/** `$fidfs_download_name`: `Content-Disposition` for `?download=` or `?filename=`, with a name or without. */
function downloadName(r: NginxHTTPRequest): string {
  return download.contentDisposition(r.variables.arg_download || r.variables.arg_filename || '');
}

/** For an error that still has the headers of a file: no cache may keep it for a year. */
function forgetCaching(r: NginxHTTPRequest): void {
  delete r.headersOut['Cache-Control'];
}

export default {
  lastModified: hot.lastModified,
  dateCondition: dateCondition,
  downloadName: downloadName,
  forgetCaching: forgetCaching,
  tokenSeen: tokens.seen,
};
