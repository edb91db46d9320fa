import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import fileId, { type FileId } from '../../file-id/file-id.js';
import type { Deleted } from '../operations/forward-deletion.js';
import { problemOf } from '../operations/problem-of.js';
import { PROBLEM_TYPE, Problem, problemDocument, RETRY_AFTER } from '../operations/problems.js';
import { errorCode } from '../store/errors.js';
import { ClientGone } from './body.js';
import { accessOf } from './rights/limits.js';
import { TUS_PATH } from './tus.js';

/*
 * The error answers of all routes.
 */

/** Decodes an ID; undefined if the text is not one. */
export function decodeId(text: string): FileId | undefined {
  try {
    return fileId.decode(text);
  } catch (error) {
    if (fileId.isFileIdError(error)) return undefined;
    throw error;
  }
}

/** Whether a request to delete a file asks to keep its slaves: `?slaves=keep`. Throws a Problem for another value. */
export function keepsSlaves({ query }: Pick<FastifyRequest, 'query'>): boolean {
  const { slaves } = query as { slaves?: unknown };
  if (slaves === undefined || slaves === 'keep') return slaves === 'keep';
  throw new Problem('bad-request', 'slaves may be "keep".');
}

/** Answers a deletion or a change of metadata: 204 if it is durable on enough nodes, otherwise 202. */
export function answerDeletion(reply: FastifyReply, deleted: Deleted): FastifyReply {
  if (deleted.copies >= deleted.wanted) return reply.code(204).send();
  return reply
    .code(202)
    .type('application/json')
    .send(Buffer.from(`${JSON.stringify(deleted)}\n`));
}

/** A URL without the values of FastDFS's token and of a signature in its query, which permit a download. */
function withoutToken(url: string): string {
  return url.replace(/([?&](?:token|signature)=)[^&]*/gi, '$1***');
}

/** Maps an error to a problem document, answers with it and logs it. Answers nothing for ClientGone. */
export function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): void {
  const { key } = accessOf(request);
  const context = {
    requestId: request.id,
    ...(key === undefined ? {} : { key }),
    method: request.method,
    url: withoutToken(request.url).slice(0, 200),
  };
  if (error instanceof ClientGone) {
    log.info(context, error.message);
    request.raw.destroy();
    return;
  }
  const problem = problemOf(error);
  const cause = problem.cause ?? undefined;
  if (problem.status >= 500 && (cause || problem.problem === 'internal')) {
    log.error({ ...context, err: cause ?? problem }, problem.message);
  } else log.info({ ...context, status: problem.status }, problem.message);
  const mayPass = problem.status >= 500 || problem.status === 429;
  if (mayPass && request.method === 'HEAD' && request.url.startsWith(`${TUS_PATH}/`)) {
    if (problem.status !== 429) reply.header('retry-after', RETRY_AFTER);
    // On any other error status a tus client discards the upload and begins a new one.
    sendProblem(reply, new Problem('upload-busy', problem.message));
    return;
  }
  if (problem.problem === 'unsupported-encoding') reply.header('accept-encoding', 'identity');
  if (problem.status === 503) reply.header('retry-after', RETRY_AFTER);
  // The rest of the body is not read, so the connection cannot be reused.
  if (problem.problem === 'body-timeout') reply.header('connection', 'close');
  sendProblem(reply, problem);
}

/** Answers a request that Node cannot parse. It has no route, and its connection cannot be reused. */
export function answerUnreadable(error: Error, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy(error);
    return;
  }
  const tooLarge = errorCode(error) === 'HPE_HEADER_OVERFLOW';
  const { problem, message, status } = tooLarge
    ? new Problem('headers-too-large', 'The headers are larger than is allowed here.')
    : new Problem('bad-request', 'The request is malformed.');
  const body = `${JSON.stringify(problemDocument(problem, message))}\n`;
  const head = `Content-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${body.length}\r\nConnection: close`;
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head}\r\n\r\n${body}`);
}

/** Sends a Buffer, because fastify adds a charset to the content type of a string, and JSON has none. */
function sendProblem(reply: FastifyReply, { problem, message, status }: Problem): void {
  reply
    .code(status)
    .type(PROBLEM_TYPE)
    .send(Buffer.from(`${JSON.stringify(problemDocument(problem, message))}\n`));
}

/** The methods of an address; undefined if it has no route. */
function methodsOf(path: string): string | undefined {
  if (path.startsWith('/metadata/')) return 'GET, HEAD, PUT';
  if (path.startsWith('/picture/')) return 'GET, HEAD';
  if (path === '/stat' || path === '/delete') return 'POST';
  if (['/files', '/readyz', '/metrics'].includes(path)) return 'GET, HEAD';
  if (path === '/upload' || path === '/upload/known') return 'POST, PUT';
  if (path.startsWith('/upload/')) return 'PUT';
  if (path === TUS_PATH || path === `${TUS_PATH}/`) return 'POST, OPTIONS';
  if (path.startsWith(`${TUS_PATH}/`)) return 'HEAD, PATCH, DELETE, OPTIONS';
  return decodeId(path.slice(1)) ? 'GET, HEAD, DELETE' : undefined;
}

/** Answers a request for which there is no route. */
export function answerNotFound(request: FastifyRequest, reply: FastifyReply): void {
  const allowed = methodsOf(request.url.split('?', 1)[0] as string);
  if (allowed === undefined) {
    sendProblem(reply, new Problem('not-found', 'Nothing is here.'));
    return;
  }
  reply.header('allow', allowed);
  sendProblem(reply, new Problem('method-not-allowed', `This address takes ${allowed}.`));
}
