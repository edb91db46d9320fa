import { z } from 'zod';
import type { Key, KeyRing } from '../../config/key-ring.js';
import { MAIN_KEY } from '../../config/keys.js';
import { Problem } from '../../operations/problems.js';
import type { Access, Limit } from './limits.js';

/*
 * Upload tokens: JWTs (RFC 7519) that an application signs for one browser, with HS256 and a key that has the right `sign`.
 */

/** How far ahead a token may expire. */
const LONGEST_SECONDS = 24 * 3600;
/** Tolerance for the clock of the application: for `nbf`, `iat` and the longest time. */
const CLOCK_TOLERANCE_SECONDS = 60;
const AUDIENCE = 'fidfs';

/** Entries of `types`, and characters of each: they must fit into the address of a forwarded upload. */
const MOST_TYPES = 50;
const LONGEST_TYPE = 80;

const type = z
  .string()
  .max(LONGEST_TYPE)
  .transform((text) => text.trim().toLowerCase().replace(/^\./, ''))
  .refine((text) => /^(?:[a-z0-9.]{1,10}|[\w.+-]+\/(?:\*|[\w.+-]+))$/.test(text));

const claimsSchema = z.object({
  exp: z.number(),
  nbf: z.number().optional(),
  iat: z.number().optional(),
  aud: z.union([z.string(), z.array(z.string())]).optional(),
  maxSize: z.number().int().nonnegative().optional(),
  types: z.array(type).min(1).max(MOST_TYPES).optional(),
  group: z.string().optional(),
});

type Claims = z.output<typeof claimsSchema>;

/** A token that is not accepted. */
export class BadToken extends Problem {
  /**
   * @param isGuess whether it is not signed by a key of this node, as a guessed one; an expired one, for example, is
   */
  constructor(
    reason: string,
    readonly isGuess: boolean,
  ) {
    super('wrong-token', `The upload token is not valid: ${reason}.`);
  }
}

/** Whether a text has the form of a JWT. It may be a key all the same. */
export function isLikeToken(text: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]*$/.test(text);
}

/** Checks a token. Resolves with what it permits and with the key that signed it. Rejects with BadToken. */
export async function checkToken(
  token: string,
  keys: Pick<KeyRing, 'signing'>,
  now = Date.now(),
): Promise<{ access: Access; key: Key }> {
  const { key, payload } = await verify(token, keys);
  const parsed = claimsSchema.safeParse(payload);
  if (!parsed.success) throw new BadToken(malformed(parsed.error), false);
  assertCurrent(parsed.data, now / 1000);
  return { key, access: accessBy(key, parsed.data) };
}

/** What the claims of a token permit, within the limits of the key that signed it. */
function accessBy(key: Key, { maxSize, types, group }: Claims): Access {
  const own: Limit = {
    whose: 'this upload token',
    maxFileSize: maxSize,
    types,
    groups: group === undefined ? group : [group],
  };
  return { key: key.name, limits: [...limitsOf(key), own] };
}

/** The limits of a key: none or one. */
export function limitsOf({ name, groups, maxFileSize }: Key): Limit[] {
  return groups === undefined && maxFileSize === undefined ? [] : [{ whose: `the key "${name}"`, groups, maxFileSize }];
}

async function verify(token: string, keys: Pick<KeyRing, 'signing'>): Promise<{ key: Key; payload: unknown }> {
  // Imported at the first token, because nodes without tokens start sooner without it.
  const { decodeProtectedHeader, errors, jwtVerify } = await import('jose');
  const name = nameIn(token, decodeProtectedHeader);
  for (const { key, secret } of keys.signing(name)) {
    try {
      // The times are checked below; here they would be reported before a wrong signature is.
      const options = { algorithms: ['HS256'], clockTolerance: Number.MAX_SAFE_INTEGER };
      const { payload } = await jwtVerify(token, Buffer.from(secret), options);
      return { key, payload };
    } catch (error) {
      if (error instanceof errors.JWSSignatureVerificationFailed) continue;
      if (error instanceof errors.JWTClaimValidationFailed)
        throw new BadToken(`its claim ${error.claim} has a wrong value`, false);
      throw new BadToken('it is no JWT with "alg":"HS256"', true);
    }
  }
  throw new BadToken(`it is not signed with a key "${name.slice(0, 64)}" of this node that has the right "sign"`, true);
}

/** The name of the signing key: the `kid` of the header. Throws BadToken. */
function nameIn(token: string, decode: (token: string) => { alg?: unknown; kid?: unknown }): string {
  let header: { alg?: unknown; kid?: unknown };
  try {
    header = decode(token);
  } catch {
    throw new BadToken('it is no JWT', true);
  }
  const { alg, kid = MAIN_KEY } = header;
  if (alg !== 'HS256') throw new BadToken('its "alg" must be "HS256"', true);
  if (typeof kid !== 'string') throw new BadToken('its "kid" must be the name of a key', true);
  return kid;
}

/** Throws BadToken for a token of another time or audience. `now` is in seconds since 1970. */
function assertCurrent({ exp, nbf = 0, iat = 0, aud }: Claims, now: number): void {
  if (exp <= now) throw new BadToken('it has expired; the application makes another one', false);
  if (exp > now + LONGEST_SECONDS + CLOCK_TOLERANCE_SECONDS)
    throw new BadToken('it expires in more than 24 hours; set "exp" earlier', false);
  if (Math.max(nbf, iat) > now + CLOCK_TOLERANCE_SECONDS)
    throw new BadToken('it begins later (nbf, iat); compare the clocks of the application and of this node', false);
  if (aud !== undefined && ![aud].flat().includes(AUDIENCE))
    throw new BadToken(`it is for another audience; leave "aud" out, or write "${AUDIENCE}"`, false);
}

function malformed(error: z.ZodError): string {
  const claim = String(error.issues[0]?.path[0] ?? '');
  if (claim === 'exp') return 'its claim exp is missing, or is no number of seconds';
  return `its claim ${claim} has a wrong value`;
}
