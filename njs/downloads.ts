/*
 * Runs inside nginx for downloads with a date condition or a download name. No state and no work at top level: njs 0.7.9
 * runs top-level code for every request, and with QuickJS (njs 1.0) requests would share the state.
 */
import createdOf from '../file-id/created.js';
import download from './download.js';
import hot from './last-modified.js';
import check from './token-check.js';
import warning from './token-warning.js';

/**
 * `$fidfs_date_condition`: evaluates If-Modified-Since and If-Unmodified-Since against the ID's creation time; evaluated only
 * if one of them is present. nginx itself compares with the file's modification time, the same constant for all files.
 * Returns `modified` (send the file), `failed` (412) or an empty string (nginx's own answer is right).
 */
function dateCondition(r: NginxHTTPRequest): string {
  const created = createdOf(r.variables.fidfs_created as string) * 1000;
  const unmodifiedSince = r.headersIn['If-Unmodified-Since'];
  // RFC 9110, 13.2.2: each date counts only where its entity-tag counterpart is absent.
  if (unmodifiedSince && !r.headersIn['If-Match'] && Date.parse(unmodifiedSince) < created) return 'failed';
  const modifiedSince = r.headersIn['If-Modified-Since'];
  if (!modifiedSince || r.headersIn['If-None-Match'] || (r.method !== 'GET' && r.method !== 'HEAD')) return '';
  // A date that njs cannot parse, such as one in an obsolete HTTP format, is NaN: the file is sent.
  return Date.parse(modifiedSince) >= created ? '' : 'modified';
}

/** `$fidfs_download_name`: the `Content-Disposition` for `?download=` or `?filename=`, with or without a name. */
function downloadName(r: NginxHTTPRequest): string {
  return download.contentDisposition(r.variables.arg_download || r.variables.arg_filename || '');
}

/** `$fidfs_legacy_args`: the query for FastDFS's web server, which gets its token and the part of a video, and no download name. */
function legacyArgs(r: NginxHTTPRequest): string {
  const args = (r.variables.args || '').split('&').filter((arg) => /^(?:token|ts|start|end)=/i.test(arg));
  return args.length === 0 ? '' : `?${args.join('&')}`;
}

/** Header filter: removes `Cache-Control` from an error response that still has the headers of the file. */
function forgetCaching(r: NginxHTTPRequest): void {
  delete r.headersOut['Cache-Control'];
  // Those of this answer are added after this filter.
  delete r.headersOut['Access-Control-Allow-Origin'];
  delete r.headersOut['Access-Control-Expose-Headers'];
  delete r.headersOut['Cross-Origin-Resource-Policy'];
}

export default {
  lastModified: hot.lastModified,
  dateCondition: dateCondition,
  downloadName: downloadName,
  legacyArgs: legacyArgs,
  forgetCaching: forgetCaching,
  tokenSeen: warning.seen,
  tokenState: check.state,
};
