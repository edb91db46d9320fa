import { timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Settings } from '../config/settings.js';
import { Problem } from '../operations/problems.js';
import { isFromOtherSite } from './cross-site.js';

/** A hook with a callback: an async hook costs each upload a few microseconds more. */
type Hook = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void;

/** Creates a hook that refuses requests without the right key (`no-key`, `wrong-key`). */
export function authorization(key: string): Hook {
  const isKey = keyCheck(key);
  return ({ headers }, reply, done) => {
    const given = bearerToken(headers);
    if (given !== undefined && isKey(given)) {
      done();
      return;
    }
    // RFC 6750, 3.1: the error code is only for requests with a token.
    const code = given === undefined ? '' : ', error="invalid_token"';
    reply.header('www-authenticate', `Bearer realm="fidfs"${code}`);
    done(given === undefined ? noKey(headers) : wrongKey());
  };
}

/**
 * Creates the hook for `"uploads": "open"`: refuses only keyless requests that a browser sends for a page of another site
 * (`cross-site`).
 */
export function openAuthorization(key: string, { publicUrl, listen }: Pick<Settings, 'publicUrl' | 'listen'>): Hook {
  const isKey = keyCheck(key);
  return ({ headers }, _reply, done) => {
    const given = bearerToken(headers);
    const passes = !isFromOtherSite(headers, publicUrl, listen.host) || (given !== undefined && isKey(given));
    done(passes ? undefined : new Problem('cross-site', OTHER_SITE));
  };
}

const OTHER_SITE =
  'A browser sent this for a page of another site. Send it from a page of the host of this node (or of its publicUrl), or with the key.';

function bearerToken({ authorization }: IncomingHttpHeaders): string | undefined {
  return /^Bearer +([^ ]+)$/i.exec(authorization ?? '')?.[1];
}

function noKey({ authorization }: IncomingHttpHeaders): Problem {
  const fault = authorization ? 'The Authorization header is not "Bearer <key>"' : 'Send "Authorization: Bearer <key>"';
  return new Problem('no-key', `${fault}; "fidfs key" prints the key.`);
}

function wrongKey(): Problem {
  return new Problem('wrong-key', 'This is not the key of this node; "fidfs key", run there, prints the right one.');
}

/** Compares in constant time. A wrong length returns early; the length of the key is not secret. */
function keyCheck(key: string): (given: string) => boolean {
  const wanted = Buffer.from(key);
  return (text) => {
    const given = Buffer.from(text);
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  };
}
