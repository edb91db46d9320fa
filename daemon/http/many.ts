import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify';
import type { Logger } from 'pino';
import { z } from 'zod';
import { type Checks, deleteMany, MANY, type Observe, statKnown, statMany } from '../operations/many.js';
import { Problem } from '../operations/problems.js';
import type { Node } from '../status.js';
import { keepsSlaves } from './answers.js';
import type { Authorization } from './authorization.js';
import { readSmallBody } from './body.js';
import { accessOf, assertGroup } from './rights/limits.js';

/** Maximum length of a body, in bytes. */
const BODY_LIMIT = 256 * 1024;
const WORDS = `Send {"ids":["group1/M00/…", …]} with up to ${MANY} IDs.`;

export const idsSchema = z.strictObject({ ids: z.array(z.string()).max(MANY) });

/** What the routes for clients need beside the node. */
export interface ManyParts {
  available: onRequestHookHandler;
  authorization: Authorization;
  /** Counts and logs a deletion. */
  observe: (request: FastifyRequest) => Observe;
  log: Logger;
}

/** Adds `POST /delete` and `POST /stat`: a result for each of many IDs. */
export function addManyRoutes(server: FastifyInstance, node: Node, parts: ManyParts): void {
  const { available, authorization, observe, log } = parts;
  const checksOf = (request: FastifyRequest): Checks => ({
    assertGroup: (group) => assertGroup(accessOf(request), group),
    failed: (error, id) => log.error({ requestId: request.id, id, err: error }, 'one of many files failed'),
  });

  server.post('/delete', { onRequest: [available, authorization.requires('delete')] }, async (request, reply) => {
    const isKept = keepsSlaves(request);
    const ids = await readIds(request);
    const results = await deleteMany(ids, isKept, node, checksOf(request), observe(request));
    return reply.type('application/json').send(Buffer.from(`${JSON.stringify({ results })}\n`));
  });

  server.post('/stat', { onRequest: [available, authorization.requires('list')] }, async (request, reply) => {
    const results = await statMany(await readIds(request), node, checksOf(request));
    return reply.type('application/json').send(Buffer.from(`${JSON.stringify({ results })}\n`));
  });
}

/** Deletes files of this node's group for a peer, which counts and logs them. */
export async function deleteManyForPeer(ids: readonly string[], request: FastifyRequest, node: Node) {
  return { results: await deleteMany(ids, keepsSlaves(request), node, OF_PEER, (_id, run) => run()) };
}

/** Says of files of this node's group what this node knows, or (`?of=group`) what its group knows. */
export async function statManyForPeer(ids: readonly string[], request: FastifyRequest, node: Node) {
  const { of } = request.query as { of?: string };
  return { results: await (of === 'group' ? statMany : statKnown)(ids, node, OF_PEER) };
}

const OF_PEER: Checks = { assertGroup: () => {}, failed: () => {} };

async function readIds({ raw }: FastifyRequest): Promise<string[]> {
  const body = await readSmallBody(raw, BODY_LIMIT);
  try {
    return idsSchema.parse(JSON.parse(body.toString())).ids;
  } catch (error) {
    throw new Problem('bad-request', WORDS, { cause: error });
  }
}
