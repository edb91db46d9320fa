import { createReadStream } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { FileId } from '../../file-id/file-id.js';
import { Problem } from '../operations/problems.js';
import type { Node } from '../status.js';
import { FILE_TIME } from '../store/layout.js';
import { decodeId } from './answers.js';
import { mediaTypeOf, servedType } from './extension.js';

/** Where nginx asks for the packed files of FastDFS, which it cannot send itself. It makes the ranges of the whole answer. */
const PACKED_PATH = '/.fidfs/packed';

/**
 * Adds the route of packed files. The headers are those that nginx sends for a plain file, so that nothing changes for clients
 * when it is unpacked.
 */
export function addPackedRoute(server: FastifyInstance, { store, settings }: Pick<Node, 'store' | 'settings'>): void {
  server.route({
    method: ['GET', 'HEAD'],
    url: `${PACKED_PATH}/*`,
    handler: async (request, reply) => {
      const id = decodeId((request.params as { '*': string })['*']);
      const found = id && !store.isDeleted(id) ? store.packed.find(id) : undefined;
      if (!id || !found) throw new Problem('not-found', 'No such file here.');
      const tag = `"${FILE_TIME.toString(16)}-${found.size.toString(16)}"`;
      reply.header('etag', tag);
      reply.header('last-modified', new Date(id.created * 1000).toUTCString());
      const status = statusFor(request.headers, tag, id);
      if (status === 412) throw new Problem('precondition-failed', 'The file is not the one that the condition names.');
      if (status === 304) return reply.code(304).send();
      const extension = /\.([^.]+)$/.exec(id.name)?.[1] ?? '';
      reply.header('content-type', servedType(mediaTypeOf(extension) ?? 'application/octet-stream', settings));
      reply.header('content-length', found.size);
      if (request.method === 'HEAD' || found.size === 0) return reply.send();
      const { path, offset: start, size } = found;
      return reply.send(createReadStream(path, { start, end: start + size - 1 }));
    },
  });
}

/** The status of an answer to a conditional request for a file (RFC 9110, 13.2.2). */
function statusFor(headers: IncomingHttpHeaders, tag: string, { created }: FileId): 200 | 304 | 412 {
  const names = (tags: string) => tags.trim() === '*' || tags.match(/"[^"]*"/g)?.includes(tag) === true;
  const { 'if-match': match, 'if-none-match': noneMatch } = headers;
  const date = (name: 'if-unmodified-since' | 'if-modified-since') => Date.parse(headers[name] ?? '') / 1000;
  if (match === undefined ? date('if-unmodified-since') < created : !names(match)) return 412;
  return (noneMatch === undefined ? date('if-modified-since') >= created : names(noneMatch)) ? 304 : 200;
}
