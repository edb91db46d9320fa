import type { FastifyInstance, onRequestHookHandler } from 'fastify';
import { z } from 'zod';
import { Problem } from '../operations/problems.js';
import type { Adoption } from '../replication/adoption.js';
import { readSmallBody } from './body.js';

const BODY_LIMIT = 64 * 1024;

const orderSchema = z.object({ dryRun: z.boolean(), names: z.array(z.string().max(4096)).max(256) });

/** Adds the route of `fidfs adopt`, which nginx does not forward. The progress is in the status. */
export function addAdoptionRoute(
  server: FastifyInstance,
  adoption: Adoption,
  authorize: onRequestHookHandler,
  isReadOnly: boolean,
): void {
  server.post('/adopt', { onRequest: authorize }, async (request, reply) => {
    const order = orderSchema.safeParse(parse((await readSmallBody(request.raw, BODY_LIMIT)).toString()));
    if (!order.success) throw new Problem('bad-request', 'The body is not a request to adopt files.');
    if (isReadOnly && !order.data.dryRun)
      throw new Problem('unavailable', 'This node only reads its store paths (readOnly).');
    // One that is under way goes on: a client that was broken off can follow it again.
    adoption.begin(order.data);
    return reply.code(202).send();
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
