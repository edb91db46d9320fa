/*
 * In place of njs/last-modified.ts where downloads need a signed link; for the same reason it imports nothing of fidfs, and does no more
 * than most links need. Each builtin method is copied when a request first calls it, so nginx takes the link apart. The map $fidfs_more
 * sends all other requests to njs/link-check.ts.
 */
// biome-ignore lint/style/useNodejsImportProtocol: njs has no node: prefix
import crypto from 'crypto';

/** `$fidfs_last_modified`, as in njs/last-modified.ts. */
function lastModified(r: NginxHTTPRequest): string {
  const b = Buffer.from(r.variables.fidfs_created as string, 'base64url');
  const created = (((b[1] as number) * 256 + (b[2] as number)) * 256 + (b[3] as number)) * 256 + (b[4] as number);
  return new Date(created * 1000).toUTCString();
}

/** `$fidfs_link_state`, as `fileState` in njs/link-check.ts, of `?expires=<digits>&signature=<43 characters>`; no other query is right. */
function linkState(r: NginxHTTPRequest): string {
  const variables = r.variables;
  const signature = variables.fidfs_link_signature;
  let state = '';
  if (
    signature &&
    (isSigned(r, variables.fidfs_link_key, signature) || isSigned(r, variables.fidfs_link_second_key, signature))
  ) {
    const left = +(variables.fidfs_link_expires as string) - Date.now() / 1000;
    // biome-ignore lint/style/useTemplate: it is compiled to a method call
    if (left > 0) return 'private, max-age=' + (left < 31536000 ? left | 0 : 31536000);
    state = 'expired';
  }
  return r.method === 'GET' || r.method === 'HEAD' ? state : 'no-store';
}

/**
 * Whether `signature` is right by this key; in time independent of the position of the first difference. Numbers of 8 bytes are compared,
 * because a loop over characters takes longer than the HMAC; those of ASCII characters are never NaN.
 */
function isSigned(r: NginxHTTPRequest, key: string | undefined, signature: string): boolean {
  if (!key) return false;
  const right = crypto
    .createHmac('sha256', key)
    .update(r.variables.fidfs_link_text as string)
    .digest('base64url');
  const both = Buffer.from(right + signature);
  return (
    (both.readDoubleLE(0) === both.readDoubleLE(43) ? 0 : 1) +
      (both.readDoubleLE(8) === both.readDoubleLE(51) ? 0 : 1) +
      (both.readDoubleLE(16) === both.readDoubleLE(59) ? 0 : 1) +
      (both.readDoubleLE(24) === both.readDoubleLE(67) ? 0 : 1) +
      (both.readDoubleLE(32) === both.readDoubleLE(75) ? 0 : 1) +
      (both.readDoubleLE(35) === both.readDoubleLE(78) ? 0 : 1) ===
    0
  );
}

export default { lastModified: lastModified, linkState: linkState };
