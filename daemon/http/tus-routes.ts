import type { FastifyInstance, onRequestHookHandler } from 'fastify';
import { otherGroupFor } from '../operations/uploads.js';
import { answerNotFound } from './answers.js';
import { canForward, forwardUpload } from './forward.js';
import { publicBase } from './public-address.js';
import { accessOf, groupsFor } from './rights/limits.js';
import { methodOf, TUS_PATH, type Tus } from './tus.js';
import type { UploadParts } from './upload.js';
import { assertNotEncoded } from './whole-body.js';

/** Adds the routes of resumable uploads: creation, and the requests for one upload. */
export function addTusRoutes(
  server: FastifyInstance,
  node: UploadParts,
  tus: Tus,
  { available, authorize }: Record<'available' | 'authorize', onRequestHookHandler>,
): void {
  const onRequest = [available, authorize];
  for (const url of [TUS_PATH, `${TUS_PATH}/`]) {
    server.post(url, { onRequest }, async (request, reply) => {
      assertNotEncoded(request.headers);
      const { group } = request.query as { group?: unknown };
      const access = accessOf(request);
      const groups = groupsFor(access, group === undefined ? undefined : String(group), node.cluster.groups);
      const elsewhere = await otherGroupFor(node, groups, (peer) => canForward(peer, access));
      if (!elsewhere) return tus.answer(request, reply);
      return forwardUpload(request, reply, elsewhere, publicBase(request, node.settings), TUS_PATH, access);
    });
    server.options(url, { onRequest: available }, (request, reply) => tus.answer(request, reply));
  }
  const url = `${TUS_PATH}/:id`;
  const method = ['HEAD', 'PATCH', 'DELETE', 'POST'];
  server.route({
    method,
    url,
    onRequest,
    handler: async (request, reply) => {
      const isOfUpload = (request.params as { id: string }).id !== '';
      if (isOfUpload && methodOf(request) !== 'POST') return tus.answer(request, reply);
      // The library would take a POST for the creation of another upload.
      answerNotFound(request, reply);
      return reply;
    },
  });
  server.options(url, { onRequest: available }, (request, reply) => tus.answer(request, reply));
}
