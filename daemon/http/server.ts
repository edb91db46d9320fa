import { timingSafeEqual } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import fileId, { type FileId } from '../../file-id/file-id.js';
import { daemonSocket, type Settings } from '../config/settings.js';
import type { Index } from '../index/index.js';
import { errorCode, StoreError } from '../store/errors.js';
import type { Store } from '../store/store.js';
import { version } from '../version.js';
import { ClientGone, restOfBody } from './body.js';
import { createMetrics } from './metrics.js';
import { createNginxSocket } from './nginx-socket.js';
import { PROBLEM_TYPE, Problem, problemDocument, RETRY_AFTER } from './problems.js';
import { upload } from './upload.js';

/** A media type, as fastify takes it; what is only meant to be multipart is left to it to refuse. */
const MEDIA_TYPE = /^(?:multipart\/form-data\b|[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(?:;|$))/i;

/** The rooms that the routes call. */
export interface ServerParts {
  store: Store;
  index: Index;
  settings: Settings;
  key: string;
  log: Logger;
}

/** The HTTP server of the daemon; nginx is its only client but for the `fidfs` command. */
export interface Server {
  listen(): Promise<void>;
  /** Refuses new uploads and deletions, waits for those under way, closes. */
  close(): Promise<void>;
}

/** Makes the server; it does not listen yet. */
export function createServer({ store, index, settings, key, log }: ServerParts): Server {
  const metrics = createMetrics(store, index);
  const authorize = authorization(settings.uploads === 'open' ? undefined : key);
  const authorizeAlways = authorization(key);
  let stopping = false;
  // Hooks with a callback: an async one costs each upload a few microseconds more.
  const available = (_request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) => {
    done(stopping ? new Problem('unavailable', 'This node is stopping; try again in a few seconds.') : undefined);
  };
  const server = fastify({
    logger: false,
    genReqId: (request) => String(request.headers['x-request-id'] ?? ''),
    requestIdHeader: false,
    // Uploads of any length are bounded by maxFileSize and by the speed at which they come.
    bodyLimit: Number.MAX_SAFE_INTEGER,
    requestTimeout: 0,
    return503OnClosing: false,
    routerOptions: { maxParamLength: 512 },
    // nginx passes on what HTTP/1.0 clients leave out.
    http: { requireHostHeader: false },
    frameworkErrors: (error, request, reply) => answerError(error, request, reply, log),
    clientErrorHandler: answerUnreadable,
  });
  const nginxSocket = createNginxSocket((request, response) => server.routing(request, response), answerUnreadable);
  // No route wants a parsed body; uploads read the stream themselves. A type that is none says nothing.
  server.addHook('onRequest', ({ raw }, _reply, done) => {
    const type = raw.headers['content-type'];
    if (type !== undefined && !MEDIA_TYPE.test(type)) delete raw.headers['content-type'];
    done();
  });
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', (_request, _payload, done) => done(null));
  server.setErrorHandler(async (error, request, reply) => {
    await restOfBody(request.raw);
    answerError(error, request, reply, log);
    return reply;
  });
  server.setNotFoundHandler(async (request, reply) => {
    await restOfBody(request.raw);
    answerNotFound(request, reply);
    return reply;
  });

  server.route({
    method: ['POST', 'PUT'],
    url: '/upload',
    onRequest: [available, authorize],
    handler: async (request, reply) => {
      const started = performance.now();
      try {
        const { files, bytes } = await upload(request, reply, store, settings);
        const milliseconds = performance.now() - started;
        metrics.uploads.inc({ result: 'stored' });
        metrics.uploadedBytes.inc(bytes);
        metrics.uploadSeconds.observe(milliseconds / 1000);
        const ids = files.length === 1 ? { id: files[0]?.id } : { ids: files.map((file) => file.id) };
        log.info({ requestId: request.id, ...ids, bytes, milliseconds: Math.round(milliseconds) }, 'stored');
      } catch (error) {
        metrics.uploads.inc({ result: 'refused' });
        throw error;
      }
      return reply;
    },
  });

  server.delete('/*', { onRequest: [available, authorizeAlways] }, async (request, reply) => {
    const id = decodeId(request.url.slice(1).split('?', 1)[0] as string);
    if (!id) return answerNotFound(request, reply);
    if (!(await store.remove(id))) {
      metrics.deletions.inc({ result: 'not-found' });
      throw new Problem('not-found', 'No such file here, or it is deleted already.');
    }
    metrics.deletions.inc({ result: 'deleted' });
    log.info({ requestId: request.id, id: request.url.slice(1) }, 'deleted');
    return reply.code(204).send();
  });

  server.get('/readyz', { onRequest: available }, async (_request, reply) => {
    if (store.trouble) throw new Problem('unavailable', 'This node takes no uploads now; its log says why.');
    return reply.type('application/json').send(Buffer.from('{"status":"ready"}\n'));
  });

  server.get('/metrics', async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );

  // For the fidfs command; nginx does not pass it on.
  server.get('/status', { onRequest: authorizeAlways }, async () => ({
    version,
    group: settings.group,
    serverId: settings.serverId,
    sync: settings.sync,
    trouble: store.trouble ?? null,
    ...index.totals,
    storePaths: store.paths.map((path) => ({
      number: path.number,
      root: path.root,
      ...path.space,
      trouble: path.trouble ?? null,
    })),
  }));

  return {
    listen: async () => {
      await server.listen({ ...settings.daemonListen, backlog: 4096 });
      const path = daemonSocket(settings);
      if (path !== undefined) await nginxSocket.listen(path);
    },
    close: async () => {
      stopping = true;
      await Promise.all([nginxSocket.close(), server.close()]);
    },
  };
}

/** A hook that lets a request pass when it carries the key; all pass when there is none. */
function authorization(key: string | undefined) {
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

function decodeId(text: string): FileId | undefined {
  try {
    return fileId.decode(text);
  } catch (error) {
    if (fileId.isFileIdError(error)) return undefined;
    throw error;
  }
}

function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof StoreError && error.code === 'full') {
    return new Problem('full', 'There is no room for this file; free some space or add a store path.', {
      cause: error,
    });
  }
  if (error instanceof StoreError && error.code === 'unavailable') {
    return new Problem('unavailable', 'The disks of this node take no files now; its log says why.', { cause: error });
  }
  const status = error instanceof Error ? (error as { statusCode?: unknown }).statusCode : undefined;
  if (status === 413) return new Problem('too-large', 'The body is larger than is taken here.', { cause: error });
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new Problem('bad-request', 'The request is malformed.', { cause: error });
  }
  return new Problem('internal', 'Something went wrong here; the log says what, under this request.', { cause: error });
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): void {
  const context = { requestId: request.id, method: request.method, url: request.url.slice(0, 200) };
  if (error instanceof ClientGone) {
    log.info(context, error.message);
    request.raw.destroy();
    return;
  }
  const problem = toProblem(error);
  const cause = problem.cause ?? undefined;
  if (problem.status >= 500) log.error({ ...context, err: cause ?? problem }, problem.message);
  else log.info({ ...context, status: problem.status }, problem.message);
  if (problem.status === 503) reply.header('retry-after', RETRY_AFTER);
  // The rest of the body will not be read: the connection is of no more use.
  if (problem.problem === 'body-timeout') reply.header('connection', 'close');
  sendProblem(reply, problem);
}

/** A request that Node cannot parse: it has no route, and its connection is of no more use. */
function answerUnreadable(error: Error, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy(error);
    return;
  }
  const tooLarge = errorCode(error) === 'HPE_HEADER_OVERFLOW';
  const { problem, message, status } = tooLarge
    ? new Problem('headers-too-large', 'The headers are larger than is taken here.')
    : new Problem('bad-request', 'The request is malformed.');
  const body = `${JSON.stringify(problemDocument(problem, message))}\n`;
  const head = `Content-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${body.length}\r\nConnection: close`;
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head}\r\n\r\n${body}`);
}

/** Buffers, because fastify adds a charset to the type of text, and JSON has none. */
function sendProblem(reply: FastifyReply, { problem, message, status }: Problem): void {
  reply
    .code(status)
    .type(PROBLEM_TYPE)
    .send(Buffer.from(`${JSON.stringify(problemDocument(problem, message))}\n`));
}

function answerNotFound(request: FastifyRequest, reply: FastifyReply): void {
  const path = request.url.split('?', 1)[0] as string;
  const allowed = path === '/upload' ? 'POST, PUT' : decodeId(path.slice(1)) ? 'GET, HEAD, DELETE' : undefined;
  if (allowed === undefined) {
    sendProblem(reply, new Problem('not-found', 'Nothing is here.'));
    return;
  }
  reply.header('allow', allowed);
  sendProblem(reply, new Problem('method-not-allowed', `This address takes ${allowed}.`));
}
