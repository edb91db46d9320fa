import fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { ReloadRefused } from '../config/reload.js';
import { daemonSocket } from '../config/settings.js';
import { deleteAnywhere } from '../operations/deletions.js';
import type { Deleted } from '../operations/forward-deletion.js';
import { countsOf, History } from '../operations/history.js';
import type { Observer } from '../operations/observer.js';
import { conditionsOf } from '../operations/preconditions.js';
import { Problem } from '../operations/problems.js';
import { describeAll, type Node, notReadyInPublic } from '../status.js';
import { sentence } from '../words.js';
import { routedAddress } from './address.js';
import { addAdoptionRoute } from './adoption.js';
import { answerDeletion, answerError, answerNotFound, answerUnreadable, decodeId, keepsSlaves } from './answers.js';
import { Authorization } from './authorization.js';
import { refuseBodies, restOfBody } from './body.js';
import { Challenges } from './challenges.js';
import { addConsoleRoutes } from './console-routes.js';
import { known } from './known.js';
import { addListRoute } from './lists.js';
import { addManyRoutes } from './many.js';
import { addMetadataRoutes } from './metadata-routes.js';
import { createNginxSocket, HTTP_OPTIONS } from './nginx-socket.js';
import { addPackedRoute } from './packed.js';
import { addPeerRoutes } from './peer-routes.js';
import { addPictureRoute } from './pictures.js';
import { accessOf, assertGroup } from './rights/limits.js';
import { Tus } from './tus.js';
import { addTusRoutes } from './tus-routes.js';
import { upload } from './upload.js';

/** A content type that fastify accepts. Malformed multipart/form-data matches too, so that it is refused and not ignored. */
const MEDIA_TYPE = /^(?:multipart\/form-data\b|[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(?:;|$))/i;

/** How long `/status` waits for the hellos of other nodes. */
const STATUS_MILLISECONDS = 1000;

function withoutSchemas(): never {
  throw new Error('a route has a schema');
}

/** The HTTP server of the daemon. Its clients are nginx and the `fidfs` command. */
export interface Server {
  listen(): Promise<void>;
  /** Refuses new uploads and deletions; resolves when those under way are answered and the long polls of followers have ended. */
  drain(): Promise<void>;
  /** Drains, then waits for all other requests and closes. */
  close(): Promise<void>;
}

/** Creates the server, which does not listen yet. */
export function createServer(node: Node, observer: Observer, log: Logger): Server {
  const { store, settings, cluster, replication, underWay } = node;
  const { metrics } = observer;
  const authorization = new Authorization(node.keys, settings, metrics);
  const mayUpload = authorization.uploads;
  const mayAdminister = authorization.requires('admin');
  const challenges = new Challenges(store);
  const tus = new Tus(
    node,
    (request, { id, size }) => {
      metrics.uploads.inc({ result: 'stored' });
      metrics.uploadedBytes.inc(size);
      log.info({ ...contextOf(request), id, bytes: size }, 'stored what came in pieces');
    },
    (message, error) => log.error({ err: error }, message),
  );
  const { available } = underWay;
  underWay.onRefuseBodies(refuseBodies);
  const server = fastify({
    logger: false,
    genReqId: (request) => String(request.headers['x-request-id'] ?? ''),
    requestIdHeader: false,
    rewriteUrl: routedAddress,
    // Uploads are limited by maxFileSize and by a minimum rate instead.
    bodyLimit: Number.MAX_SAFE_INTEGER,
    requestTimeout: 0,
    return503OnClosing: false,
    routerOptions: { maxParamLength: 512 },
    http: HTTP_OPTIONS,
    // No route has a schema; by default Ajv is loaded for them at every start.
    schemaController: { compilersFactory: { buildValidator: withoutSchemas, buildSerializer: withoutSchemas } },
    frameworkErrors: (error, request, reply) => answerError(error, request, reply, log),
    clientErrorHandler: answerUnreadable,
  });
  const nginxSocket = createNginxSocket((request, response) => server.routing(request, response), answerUnreadable);
  // No route uses a parsed body: uploads read the stream. An invalid content type is ignored.
  server.addHook('onRequest', ({ raw }, _reply, done) => {
    node.requests.passed();
    const type = raw.headers['content-type'];
    if (type !== undefined && !MEDIA_TYPE.test(type)) delete raw.headers['content-type'];
    done();
  });
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', (_request, _payload, done) => done(null));
  server.setErrorHandler(async (error, request, reply) => {
    if (!underWay.isRefusingBodies) await restOfBody(request.raw);
    answerError(error, request, reply, log);
    // Probes of a node that is not ready are no failures of anybody's request.
    if (reply.statusCode >= 500 && request.url !== '/readyz') node.requests.failed();
    return reply;
  });
  server.setNotFoundHandler(async (request, reply) => {
    await restOfBody(request.raw);
    answerNotFound(request, reply);
    return reply;
  });

  const takeUpload = (request: FastifyRequest, reply: FastifyReply, isPassedOn: boolean) =>
    observer.upload(contextOf(request), async () => {
      const taken = await upload(request, reply, node, isPassedOn);
      return { files: taken?.files, answer: reply };
    });

  server.route({
    method: ['POST', 'PUT'],
    url: '/upload',
    onRequest: [available, mayUpload],
    handler: (request, reply) => takeUpload(request, reply, false),
  });

  server.post('/upload/known', { onRequest: [available, mayUpload] }, async (request, reply) => {
    const taken = await known(request, reply, node, challenges);
    if (!taken) return reply;
    metrics.uploads.inc({ result: 'known' });
    log.info({ ...contextOf(request), id: taken.files[0]?.id, bytes: taken.bytes }, 'stored what was known');
    return reply;
  });

  const history = new History(() => countsOf(node));
  addConsoleRoutes(server, node, authorization, history);

  addTusRoutes(server, node, tus, { available, authorize: mayUpload });

  addMetadataRoutes(server, node, available, authorization);

  addListRoute(server, node, available, authorization);

  const observe = (request: FastifyRequest) => (id: string, run: () => Promise<Deleted>) =>
    observer.deletion(contextOf(request), id, run);
  addManyRoutes(server, node, { available, authorization, observe, log });

  server.delete('/*', { onRequest: [available, authorization.requires('delete')] }, async (request, reply) => {
    const text = request.url.slice(1).split('?', 1)[0] as string;
    const id = decodeId(text);
    if (!id) return answerNotFound(request, reply);
    assertGroup(accessOf(request), id.group);
    const deleted = await observer.deletion(contextOf(request), text, () =>
      deleteAnywhere({ id, text, conditions: conditionsOf(request.headers), keepsSlaves: keepsSlaves(request) }, node),
    );
    return answerDeletion(reply, deleted);
  });

  addPeerRoutes(server, node, { tus, history }, (request, reply) => takeUpload(request, reply, true));

  addPackedRoute(server, node);

  addPictureRoute(server, node, metrics, log);

  server.get('/readyz', { onRequest: available }, async (_request, reply) => {
    const reason = notReadyInPublic(node);
    if (reason !== undefined) {
      throw new Problem('unavailable', sentence(`This node is not ready: ${reason}`));
    }
    return reply.type('application/json').send(Buffer.from('{"status":"ready"}\n'));
  });

  server.get('/metrics', async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );

  // For nginx, on a miss: 204 if the file is deleted, so that no peer is asked.
  server.get('/.fidfs/deleted/*', async (request, reply) => {
    const id = decodeId((request.params as { '*': string })['*']);
    return reply.code(id && store.isDeleted(id) ? 204 : 404).send();
  });

  // For the fidfs command; nginx does not forward it.
  server.get('/status', { onRequest: mayAdminister }, async () => {
    // The last hellos are up to a second old and would not count a file that was just uploaded.
    await cluster.lookAtAll(STATUS_MILLISECONDS);
    return describeAll(node);
  });

  addAdoptionRoute(server, replication.adoption, mayAdminister, settings.readOnly);

  server.post('/scrub', { onRequest: mayAdminister }, async (_request, reply) => {
    replication.scrub.now();
    return reply.code(202).send();
  });

  server.post('/reload', { onRequest: mayAdminister }, async () => {
    try {
      return { changed: await node.reload.run() };
    } catch (error) {
      if (error instanceof ReloadRefused) throw new Problem('bad-request', error.message);
      throw error;
    }
  });

  const drain = () => {
    const answered = underWay.drain();
    // Their bytes are kept, and the clients can resume them later.
    tus.stop();
    return answered;
  };

  return {
    listen: async () => {
      await server.listen({ ...settings.daemonListen, backlog: 4096 });
      const path = daemonSocket(settings);
      if (path !== undefined) await nginxSocket.listen(path);
    },
    drain,
    close: async () => {
      history.stop();
      await Promise.all([nginxSocket.close(), server.close()]);
    },
  };
}

/** What the log says of each request: its id, and the key that permitted it. */
function contextOf(request: FastifyRequest): { requestId: string; key?: string } {
  const { key } = accessOf(request);
  return { requestId: request.id, ...(key === undefined ? {} : { key }) };
}
