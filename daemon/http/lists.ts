import type { FastifyInstance, onRequestHookHandler } from 'fastify';
import { z } from 'zod';
import { parseTime } from '../config/values.js';
import { type ListQuery, listAnywhere, listHere, type Page } from '../operations/lists.js';
import { Problem } from '../operations/problems.js';
import type { Node } from '../status.js';
import type { Authorization } from './authorization.js';
import { accessOf, groupsFor } from './rights/limits.js';

const MAX_PAGE = 1000;
const MAX_SECOND = 2 ** 32;

/** What each parameter may be, for error messages. */
const WORDS: Record<string, string> = {
  from: 'is a time: 2026-11-22T08:38:49Z, 2026-11-22, or seconds since 1970',
  to: 'is a time: 2026-11-22T08:38:49Z, 2026-11-22, or seconds since 1970',
  after: 'is "next" of a page before',
  limit: `is a number from 1 to ${MAX_PAGE}`,
  order: 'is "newest" or "oldest"',
  ext: 'is an extension without its dot, of up to 6 characters; empty for files without one',
  group: 'is the name of a group',
};

/** Seconds since 1970, rounded up: whole seconds at or after the time. A "+" that was not encoded has become a blank. */
const time = z
  .string()
  .transform((text) => text.replace(' ', '+'))
  .transform((text) => (/^\d{1,10}(?:\.\d{1,9})?$/.test(text) ? Number(text) : parseTime(text) / 1000))
  .refine((seconds) => !Number.isNaN(seconds))
  .transform((seconds) => Math.min(Math.max(Math.ceil(seconds), 0), MAX_SECOND));
const limit = z
  .string()
  .regex(/^\d{1,4}$/)
  .transform(Number)
  .refine((count) => count >= 1 && count <= MAX_PAGE);
const order = z.enum(['newest', 'oldest']).default('newest');
const ext = z
  .string()
  .regex(/^[A-Za-z0-9._-]{0,6}$/)
  .optional();
const position = z.string().transform((text) => Buffer.from(text, 'base64url'));
const querySchema = z.object({
  ...{ from: time.optional(), to: time.optional(), limit: limit.default(100), order, ext },
  after: position.refine((bytes) => bytes.length === 20).optional(),
  group: z.string().max(16).optional(),
});
const peerQuerySchema = z.object({
  ...{ from: time.optional(), to: time.optional(), limit, order, ext },
  after: z
    .string()
    .regex(/^[0-9a-f]{40}$/)
    .transform((text) => Buffer.from(text, 'hex'))
    .optional(),
});

/** Adds `GET /files`: the files of the cluster, by time, in pages. */
export function addListRoute(
  server: FastifyInstance,
  node: Node,
  available: onRequestHookHandler,
  authorization: Authorization,
): void {
  const { cluster } = node;
  server.get('/files', { onRequest: [available, authorization.requires('list')] }, async (request, reply) => {
    const { group, ...query } = parse(querySchema, request.query);
    if (group !== undefined && !cluster.groups.includes(group))
      throw new Problem('no-such-group', `There is no group ${JSON.stringify(group)} in this cluster.`);
    const groups = groupsFor(accessOf(request), group, cluster.groups) ?? cluster.groups;
    const { files, end } = await listAnywhere(groups, query, node);
    const next = end === null ? undefined : Buffer.from(end, 'hex').toString('base64url');
    return reply.type('application/json').send(Buffer.from(`${JSON.stringify({ files, next })}\n`));
  });
}

/** Answers a peer that lists the files of this node's group. Throws a Problem (`unavailable`) if this node lags behind its group. */
export function listForPeer(query: unknown, node: Node): Page {
  const { lag } = node.replication.readiness;
  if (lag !== undefined) throw new Problem('unavailable', `This node cannot list the files of its group: ${lag}.`);
  return listHere(parse(peerQuerySchema, query), node);
}

function parse<Query extends ListQuery>(schema: z.ZodType<Query>, value: unknown): Query {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const name = String(parsed.error.issues[0]?.path[0] ?? '');
  throw new Problem('bad-request', `?${name}= ${WORDS[name] ?? 'is not possible'}.`);
}
