import type { LinkOptions, Validity } from './types.js';

const encoder = new TextEncoder();
const UNIT_SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Base64url without padding. */
function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

/** Resolves with the HMAC-SHA256 of a text, in base64url. Needs WebCrypto, which browsers have on secure pages only. */
async function hmac(secret: string, text: string): Promise<string> {
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
  ]);
  return base64url(new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(text))));
}

/** The end of a validity in seconds since 1970; by default an hour from now. */
export function endOf({ for: duration = '1h', expires }: Validity): number {
  if (expires !== undefined) return Math.floor(expires instanceof Date ? expires.getTime() / 1000 : expires);
  return Math.floor(Date.now() / 1000) + secondsOf(duration);
}

function secondsOf(duration: number | string): number {
  if (typeof duration === 'number') return Math.floor(duration);
  const [, digits, unit = 's'] = /^(\d+)([smhd])?$/.exec(duration) ?? [];
  if (digits === undefined) throw new TypeError(`not a duration such as 30m, 1h or 7d: ${duration}`);
  return Number(digits) * (UNIT_SECONDS[unit] ?? 1);
}

/** Resolves with the query of a signed link, beginning with a question mark (docs/http.md). */
export async function signedQuery(key: string, id: string, options: LinkOptions): Promise<string> {
  const { download = '', preset = '' } = options;
  const expires = endOf(options);
  const signature = await hmac(key, `fidfs\n${id}\n${expires}\n${download}\n${preset}`);
  return `?expires=${expires}&signature=${signature}${download && `&download=${encodeURIComponent(download)}`}`;
}

/** Resolves with a JWT, signed with HS256. */
export async function jwt(secret: string, kid: string | undefined, claims: Record<string, unknown>): Promise<string> {
  const encode = (part: Record<string, unknown>) => base64url(encoder.encode(JSON.stringify(part)));
  const text = `${encode({ alg: 'HS256', typ: 'JWT', ...(kid === undefined ? {} : { kid }) })}.${encode(claims)}`;
  return `${text}.${await hmac(secret, text)}`;
}
