import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Dispatcher } from 'undici';
import type { Peer } from '../cluster/cluster.js';
import { PEER_PREFIX } from '../cluster/peer-client.js';
import { Problem } from '../operations/problems.js';
import { nameInAddress, splitAddress } from './address.js';
import { ACCESS_PARAMETER, type Access } from './rights/limits.js';

/** An upload is answered after replication. In milliseconds. */
const ANSWER_MILLISECONDS = 300_000;

/** Request headers of an upload that are forwarded. */
const PASSED_HEADERS = [
  ...['content-type', 'content-length', 'repr-digest', 'content-digest', 'accept'],
  ...['tus-resumable', 'upload-length', 'upload-metadata', 'upload-checksum', 'upload-concat', 'upload-defer-length'],
];
/** Answer headers that are forwarded to the client. */
const ANSWERED_HEADERS = [
  ...['content-type', 'location', 'retry-after'],
  ...['tus-resumable', 'tus-version', 'upload-offset', 'upload-expires', 'fidfs-id', 'fidfs-url'],
];

const EARLIER = 'The node that was to take this upload runs an earlier version, which does not know limits of keys.';

/** Query parameter of a forwarded upload: the base of its public addresses. */
export const ORIGIN_PARAMETER = 'origin';

/** Whether a peer, by its last hello, enforces the limits of an access: an earlier version would ignore them. */
export function canForward({ hello }: Peer, { limits }: Access): boolean {
  return limits.length === 0 || hello?.shared !== undefined;
}

/**
 * Forwards an upload, or the creation of a resumable one, to a node of another group; streams the body. Rejects with a
 * Problem (`unavailable`) if the node does not answer.
 */
export async function forwardUpload(
  request: FastifyRequest,
  reply: FastifyReply,
  peer: Peer,
  base: string,
  path: '/upload' | '/tus',
  access: Access,
): Promise<FastifyReply> {
  if (!canForward(peer, access)) throw new Problem('unavailable', EARLIER);
  const query = new URLSearchParams(splitAddress(request.url)[1]);
  query.delete('group');
  const name = nameInAddress(request.originalUrl);
  if (name && !query.get('filename')) query.set('filename', name);
  query.set(ORIGIN_PARAMETER, base);
  // Also replaces one that the client sends.
  query.set(ACCESS_PARAMETER, JSON.stringify(access));
  const target = `${PEER_PREFIX}${path}?${query}`;
  const headers: Record<string, string> = { authorization: peer.client.authorization('POST', target) };
  for (const name of PASSED_HEADERS) {
    const value = request.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  const answer = await peer.client
    .raw(target, { method: 'POST', headers, body: request.raw, headersTimeout: ANSWER_MILLISECONDS })
    .catch((error: unknown) => {
      throw new Problem('unavailable', 'The node that was to take this upload does not answer; try again.', {
        cause: error,
      });
    });
  return pass(answer, reply);
}

async function pass(answer: Dispatcher.ResponseData, reply: FastifyReply): Promise<FastifyReply> {
  reply.code(answer.statusCode);
  for (const name of ANSWERED_HEADERS) {
    const value = answer.headers[name];
    if (value !== undefined) reply.header(name, value);
  }
  return reply.send(Buffer.from(await answer.body.arrayBuffer()));
}
