import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { counted } from '../words.js';
import { PROTOCOL } from './hello.js';

/*
 * Requests between nodes are signed: HMAC-SHA256, with `peerSecret`, of method, path with query, sender, receiver, date and a
 * nonce. The query contains a digest of the body.
 */

/** Maximum difference between the clocks of two nodes, in seconds. Nonces are kept as long. */
const CLOCK_TOLERANCE_SECONDS = 30;

/**
 * Name of the authorization scheme of a version of the protocol. Each version has its own, so that nodes with different
 * versions reject each other's requests even before the next hello, for example just after one of them was upgraded.
 */
export function schemeOf(protocol: number): string {
  return `FIDFS${protocol === 1 ? '' : protocol}-HMAC-SHA256`;
}

/** The signed values. */
interface Signed {
  method: string;
  /** Path with query. */
  path: string;
  sender: number;
  receiver: number;
  /** Seconds since 1970. */
  date: number;
  nonce: string;
}

function signatureOf(secret: string, { method, path, sender, receiver, date, nonce }: Signed): Buffer {
  return createHmac('sha256', secret).update([method, path, sender, receiver, date, nonce].join('\n')).digest();
}

/** The Authorization header of a request to a peer. */
export function sign(secret: string, request: Omit<Signed, 'date' | 'nonce'>): string {
  const signed = { ...request, date: Math.floor(Date.now() / 1000), nonce: randomBytes(12).toString('base64url') };
  const signature = signatureOf(secret, signed).toString('base64url');
  const { sender, receiver, date, nonce } = signed;
  return `${schemeOf(PROTOCOL)} sender=${sender},receiver=${receiver},date=${date},nonce=${nonce},signature=${signature}`;
}

/** A request is not authenticated as one of a peer. The message is human-readable. */
export class BadSignature extends Error {
  override name = 'BadSignature';
}

/** Verifies signatures, and rejects repeated nonces. */
export class SignatureCheck {
  /** Used nonces, by the second (since 1970) until which they are kept; later the date is rejected as too old. */
  private readonly seen = new Map<string, number>();
  private swept = 0;

  constructor(
    private readonly secret: string,
    private readonly serverId: number,
    private readonly clock: () => number = Date.now,
  ) {}

  /** Returns the sender's server id. Throws BadSignature. `path`: with query; `authorization`: the header. */
  verify(method: string, path: string, authorization: string | undefined): number {
    const [scheme = '', signed = ''] = (authorization ?? '').split(' ', 2);
    const pattern = /^sender=(\d{1,8}),receiver=(\d{1,8}),date=(\d{1,12}),nonce=([\w-]{16}),signature=([\w-]{43})$/;
    const match = scheme === schemeOf(PROTOCOL) ? pattern.exec(signed) : null;
    if (!match) {
      const protocol = /^FIDFS(\d{0,9})-HMAC-SHA256$/.exec(scheme)?.[1];
      if (protocol !== undefined && scheme !== schemeOf(PROTOCOL))
        throw new BadSignature(
          `The request is of protocol ${protocol || 1}, this node speaks ${PROTOCOL}; run the same version.`,
        );
      throw new BadSignature('The request is not signed as requests between nodes are.');
    }
    const [sender, receiver, date] = match.slice(1, 4).map(Number) as [number, number, number];
    const nonce = match[4] as string;
    const wanted = signatureOf(this.secret, { method, path, sender, receiver, date, nonce });
    const given = Buffer.from(match[5] as string, 'base64url');
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
      throw new BadSignature('The signature is wrong; is peerSecret the same on all nodes?');
    }
    if (receiver !== this.serverId) {
      throw new BadSignature(
        `The request is for node ${receiver}; this is node ${this.serverId}. Correct peers there.`,
      );
    }
    const now = Math.floor(this.clock() / 1000);
    if (Math.abs(now - date) > CLOCK_TOLERANCE_SECONDS) {
      throw new BadSignature(`The clocks are ${counted(Math.abs(now - date), 'second')} apart; set them right (NTP).`);
    }
    this.useOnce(`${sender} ${nonce}`, date, now);
    return sender;
  }

  private useOnce(number: string, date: number, now: number): void {
    if (this.seen.has(number)) throw new BadSignature('The request was made before; sign each anew.');
    this.seen.set(number, date + CLOCK_TOLERANCE_SECONDS);
    if (now === this.swept) return;
    this.swept = now;
    // Insertion order, which is nearly the order of the dates.
    for (const [old, until] of this.seen) {
      if (until >= now) break;
      this.seen.delete(old);
    }
  }
}
