import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { PEER_PREFIX } from '../cluster/peer-client.js';
import { BadSignature, SignatureCheck } from '../cluster/signature.js';
import { DIGEST_VERSION } from '../index/part-digests.js';
import { deleteHere } from '../operations/deletions.js';
import type { History } from '../operations/history.js';
import { linksSchema, signHere } from '../operations/links.js';
import { metadataChangeSchema, readMetadataHere, setMetadataHere } from '../operations/metadata.js';
import { conditionsOf } from '../operations/preconditions.js';
import { Problem } from '../operations/problems.js';
import { questionSchema } from '../replication/acknowledgements.js';
import { namesIn } from '../replication/anti-entropy.js';
import { PAGE_TOMBSTONES } from '../replication/page.js';
import { describeNode, type Node } from '../status.js';
import { parseMetadata } from '../store/metadata.js';
import { answerDeletion, decodeId, keepsSlaves } from './answers.js';
import { readSmallBody } from './body.js';
import { listForPeer } from './lists.js';
import { deleteManyForPeer, idsSchema, statManyForPeer } from './many.js';
import { parseAccess, setAccess } from './rights/limits.js';
import { TUS_PATH, type Tus } from './tus.js';

/** Maximum length of a JSON body, in bytes; does not apply to uploads. */
const BODY_LIMIT = 2 ** 20;

const keysSchema = z.object({ keys: z.array(z.string().regex(/^[0-9a-f]{40}$/)).max(1024) });
/** The defaults are for nodes of earlier versions, which send no parameters. */
const digestsSchema = z.object({
  of: z.enum(['all', 'tombstones']).default('all'),
  digests: z.coerce.number().int().min(1).max(DIGEST_VERSION).default(1),
});
/** Without `after`, as from nodes of earlier versions, all tombstones of the part are returned. */
const tombstonesSchema = z.object({
  part: z.coerce
    .number()
    .int()
    .min(0)
    .max(2 ** 48 - 1),
  after: z
    .string()
    .regex(/^([0-9a-f]{40})?$/)
    .transform((key) => Buffer.from(key, 'hex'))
    .optional(),
});
const placesSchema = z.object({
  places: z.array(z.number().int().min(0).max(0xffffff)).max(1024),
  /** The version of the records that the peer understands; absent in earlier versions. */
  records: z.number().int().min(1).default(1),
});

const senders = new WeakMap<IncomingMessage, number>();

/** Adds the routes for peers. Each request must be signed by one (`not-a-peer`). */
export function addPeerRoutes(
  server: FastifyInstance,
  node: Node,
  { tus, history }: { tus: Tus; history: History },
  upload: (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>,
): void {
  const { settings, index, cluster, replication, store, underWay } = node;
  /** Made when a peer asks first: a node without peers may have no secret yet. */
  let check: SignatureCheck | undefined;
  const signed = (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) => {
    try {
      const { peerSecret, serverId } = settings;
      if (peerSecret === undefined || cluster.peers.length === 0) throw new BadSignature('This node has no peers.');
      check ??= new SignatureCheck(peerSecret, serverId);
      const sender = check.verify(request.method, request.url, request.headers.authorization);
      if (!cluster.peer(sender)) throw new BadSignature(`Node ${sender} is not among the peers of node ${serverId}.`);
      senders.set(request.raw, sender);
      done();
    } catch (error) {
      done(error instanceof BadSignature ? new Problem('not-a-peer', error.message) : (error as Error));
    }
  };
  const hooks = { onRequest: signed };

  server.get(`${PEER_PREFIX}/hello`, hooks, async () => {
    const hello = describeNode(node);
    // So that the nodes of other groups forward no more uploads to this one.
    return underWay.isStopping ? { ...hello, trouble: hello.trouble ?? 'it is stopping' } : hello;
  });

  server.post(`${PEER_PREFIX}/log`, hooks, async (request, reply) => {
    const question = parse(questionSchema, await readJson(request));
    const gone = new AbortController();
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) gone.abort();
    });
    const sender = senders.get(request.raw) as number;
    // It may have gone while its body came: its acknowledgements must not count any more.
    if (!cluster.peer(sender)) throw new Problem('not-a-peer', `Node ${sender} is not among the peers any more.`);
    const page = await replication.source.log(sender, question, gone.signal);
    if (!page) throw new Problem('unavailable', 'This node is stopping; try again in a few seconds.');
    return sendBytes(reply, page);
  });

  server.post(`${PEER_PREFIX}/files`, hooks, async (request, reply) => {
    const { keys } = parse(keysSchema, await readJson(request));
    return sendBytes(reply, replication.source.files(keys.map((key) => Buffer.from(key, 'hex'))));
  });

  server.get(`${PEER_PREFIX}/inventory`, hooks, async (request, reply) => {
    const { of: scope, digests } = parse(digestsSchema, request.query);
    const { files, tombstones } = await index.digests({ scope, digests });
    const length = Buffer.alloc(4);
    length.writeUInt32BE(files.length);
    return sendBytes(reply, Buffer.concat([length, files, tombstones]));
  });

  server.get(`${PEER_PREFIX}/tombstones`, hooks, async (request, reply) => {
    const { part, after } = parse(tombstonesSchema, request.query);
    const limit = after === undefined ? undefined : PAGE_TOMBSTONES;
    return sendBytes(reply, Buffer.concat(index.tombstonesOf(part, after, limit)));
  });

  server.post(`${PEER_PREFIX}/names`, hooks, async (request) => {
    const asked = parse(placesSchema, await readJson(request));
    return namesIn(asked, { group: settings.group, index, paths: store.paths });
  });

  server.get(`${PEER_PREFIX}/holds`, hooks, async (request) => {
    const id = idOf(request);
    const deleted = store.isDeleted(id);
    // The peer counts this answer as a durable deletion; the commit makes recorded deletions durable.
    if (deleted) await store.writer.commit({});
    return { holds: store.holds(id) ?? null, lacks: store.isMissing(id), deleted };
  });

  server.get(`${PEER_PREFIX}/list`, hooks, async (request) => listForPeer(request.query, node));

  server.post(`${PEER_PREFIX}/stat`, hooks, async (request) =>
    statManyForPeer(parse(idsSchema, await readJson(request)).ids, request, node),
  );

  server.post(`${PEER_PREFIX}/delete`, hooks, async (request, reply) => {
    underWay.enter(reply);
    return deleteManyForPeer(parse(idsSchema, await readJson(request)).ids, request, node);
  });

  server.get(`${PEER_PREFIX}/history`, hooks, async () => ({ samples: history.recent }));

  server.post(`${PEER_PREFIX}/sign`, hooks, async (request) => ({
    queries: signHere(parse(linksSchema, await readJson(request)), node),
  }));

  server.delete(`${PEER_PREFIX}/file`, hooks, async (request, reply) => {
    underWay.enter(reply);
    const id = idOf(request);
    if (id.group !== settings.group) throw new Problem('bad-request', `This node is in group ${settings.group}.`);
    const { id: text } = request.query as { id: string };
    const conditions = conditionsOf(request.headers);
    return answerDeletion(reply, await deleteHere({ id, text, conditions, keepsSlaves: keepsSlaves(request) }, node));
  });

  server.get(`${PEER_PREFIX}/metadata`, hooks, async (request) => {
    return { metadata: readMetadataHere(idOf(request), node).toString('base64') };
  });

  server.post(`${PEER_PREFIX}/metadata`, hooks, async (request, reply) => {
    underWay.enter(reply);
    const { metadata, isMerge } = parse(metadataChangeSchema, await readJson(request));
    const records = parseMetadata(Buffer.from(metadata, 'base64'));
    return setMetadataHere(idOf(request), (request.query as { id: string }).id, { records, isMerge }, node);
  });

  server.post(`${PEER_PREFIX}/upload`, hooks, async (request, reply) => {
    underWay.enter(reply);
    setAccess(request, parseAccess((request.query as { access?: string }).access));
    return upload(request, reply);
  });

  server.post(PEER_PREFIX + TUS_PATH, hooks, async (request, reply) => {
    underWay.enter(reply);
    const { origin, access } = request.query as { origin?: string; access?: string };
    setAccess(request, parseAccess(access));
    return tus.answer(request, reply, origin);
  });
}

function idOf(request: FastifyRequest) {
  const { id } = parse(z.object({ id: z.string().max(101) }), request.query);
  const decoded = decodeId(id);
  if (!decoded) throw new Problem('bad-id', 'This is not the ID of a file.');
  return decoded;
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Problem('bad-request', 'The request is not one that peers make; do they run the same version?');
}

/** Reads a JSON body, whose SHA-256 is in the signed query. Rejects with a Problem. */
async function readJson(request: FastifyRequest): Promise<unknown> {
  const body = await readSmallBody(request.raw, BODY_LIMIT);
  const { digest } = request.query as { digest?: unknown };
  if (createHash('sha256').update(body).digest('base64url') !== digest) {
    throw new Problem('not-a-peer', 'The body is not the one that was signed.');
  }
  try {
    return JSON.parse(body.toString());
  } catch {
    throw new Problem('bad-request', 'The body is not JSON.'); // the parser's message would quote the body
  }
}

function sendBytes(reply: FastifyReply, bytes: Buffer): FastifyReply {
  return reply.type('application/octet-stream').send(bytes);
}
