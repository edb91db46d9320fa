import information from './information.js';
import check from './link-check.js';

/** `GET /info/<id>` where downloads need a signed link: so does the information about an ID of this node's group. */
function info(r: NginxHTTPRequest): void {
  const id = r.uri.substring('/info/'.length);
  const state = check.isOwn(r, id) ? check.state(r, id, '') : 'no-store';
  if (state === '') r.internalRedirect('@fidfs_not_signed');
  else if (state === 'expired') r.internalRedirect('@fidfs_link_expired');
  else {
    if (state !== 'no-store') r.headersOut['Cache-Control'] = state;
    information.info(r);
  }
}

export default { info: info };
