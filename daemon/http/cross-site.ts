import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/** What `Sec-Fetch-Site` says of pages of the node's own site, and of what the user does without any page. */
const OWN_SITE = ['same-origin', 'same-site', 'none'];

/**
 * Whether a browser sends a request for a page of another site than the node's. `Sec-Fetch-Site` is the browser's own
 * comparison with the address as it sees it, whatever a proxy makes of that; browsers send it to https and localhost.
 * Without it the host of `Origin` is compared with Host, port and scheme aside: behind a proxy they differ. A request
 * that has neither header comes from no page.
 *
 * Whoever owns a name can make it lead to this node after his page has come from elsewhere (DNS rebinding); then `Origin` and Host are
 * both that name. So where the node knows its name, no other one is taken but those that nobody else can own.
 * @param publicUrl the address by which the node is known; pages of its host are of the node's site
 * @param listenHost the host at which it listens
 */
export function isFromOtherSite(
  headers: IncomingHttpHeaders,
  publicUrl: string | undefined,
  listenHost: string,
): boolean {
  const { origin, host } = headers;
  const site = headers['sec-fetch-site'];
  if (site === undefined && origin === undefined) return false;
  if (site !== undefined && OWN_SITE.includes(String(site))) return false;
  const from = hostOf(origin ?? '');
  if (from === undefined) return true; // "null": a page that must not say whose it is
  if (publicUrl !== undefined && from === hostOf(publicUrl)) return false;
  if (site !== undefined || from !== hostOf(`http://${host}`)) return true;
  return publicUrl !== undefined && from !== listenHost && !isOwnedByNobody(from);
}

/** Addresses, and the names of this machine itself (RFC 6761, 6.3). */
function isOwnedByNobody(host: string): boolean {
  return isIP(host.replace(/^\[|\]$/g, '')) !== 0 || host === 'localhost' || host.endsWith('.localhost');
}

function hostOf(url: string): string | undefined {
  const host = URL.canParse(url) ? new URL(url).hostname : '';
  return host === '' ? undefined : host;
}
