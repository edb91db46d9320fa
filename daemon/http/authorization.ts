import { timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from './problems.js';

/** A hook that lets a request pass when it carries the key; all pass when there is none. */
export function authorization(key: string | undefined) {
  const wanted = key === undefined ? undefined : Buffer.from(key);
  return (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    const given = /^Bearer +([^ ]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (!wanted || (given !== undefined && isSame(Buffer.from(given), wanted))) {
      done();
      return;
    }
    reply.header('www-authenticate', 'Bearer realm="fidfs"');
    done(new Problem('no-key', 'Send "Authorization: Bearer <key>"; "fidfs key" prints the key.'));
  };
}

/** Takes the same time wherever the two differ. That the length shows is no secret: it tells nothing of the key. */
function isSame(given: Buffer, wanted: Buffer): boolean {
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}
