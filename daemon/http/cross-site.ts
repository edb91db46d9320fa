import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/** Values of `Sec-Fetch-Site` for pages of the node's own site, and for requests of the user without a page. */
const OWN_SITE = ['same-origin', 'same-site', 'none'];

/**
 * Whether a browser sends a request for a page of another site than the node's. The browser computes `Sec-Fetch-Site` from
 * the address that it uses, so a proxy does not affect it; it sends the header to https and localhost only. Without it the
 * host of `Origin` is compared with that of Host. Port and scheme are ignored, because they differ behind a proxy. A request
 * with neither header does not come from a page.
 *
 * DNS rebinding: the owner of a host name can point it to this node after a browser has loaded his page from elsewhere; then
 * `Origin` and Host both have that name. Therefore, if `publicUrl` is set, a matching Host is accepted only if it is an
 * address or a local name.
 * @param publicUrl the public URL of the node; pages of its host are of the node's site
 * @param listenHost the host of the `listen` setting
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
  if (from === undefined) return true; // "null": a page with an opaque origin
  if (publicUrl !== undefined && from === hostOf(publicUrl)) return false;
  if (site !== undefined || from !== hostOf(`http://${host}`)) return true;
  return publicUrl !== undefined && from !== listenHost && !isOwnedByNobody(from);
}

/** Whether a browser sends a request for a page whose origin is in `corsOrigins`. */
export function isAllowedOrigin({ origin }: IncomingHttpHeaders, corsOrigins: readonly string[]): boolean {
  return origin !== undefined && (corsOrigins.includes('*') || corsOrigins.includes(origin));
}

/** Whether a host is an IP address or a name of the local machine (RFC 6761, 6.3). */
function isOwnedByNobody(host: string): boolean {
  return isIP(host.replace(/^\[|\]$/g, '')) !== 0 || host === 'localhost' || host.endsWith('.localhost');
}

function hostOf(url: string): string | undefined {
  const host = URL.canParse(url) ? new URL(url).hostname : '';
  return host === '' ? undefined : host;
}
