import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { FileId } from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import type { Hello } from '../cluster/hello.js';
import { type History, INTERVAL_SECONDS, KEPT, sampleSchema } from '../operations/history.js';
import { linksSchema, signAnywhere } from '../operations/links.js';
import { Problem } from '../operations/problems.js';
import { describeNode, type Node } from '../status.js';
import { decodeId } from './answers.js';
import type { Authorization } from './authorization.js';
import { readSmallBody } from './body.js';
import { accessOf, assertGroup, covers } from './rights/limits.js';

const ASK_MILLISECONDS = 3000;

/** Maximum length of a body, in bytes. */
const BODY_LIMIT = 256 * 1024;
/** The longest time of a link, in seconds: ten years. */
const MOST_SECONDS = 3650 * 86_400;

const signSchema = linksSchema.omit({ expires: true }).extend({ seconds: z.number().int().min(1).max(MOST_SECONDS) });

const historySchema = z.object({ samples: z.array(sampleSchema).max(KEPT) });

/** Adds the routes of the web console: the state of the cluster, its groups, links, and the copies of a file on each node. */
export function addConsoleRoutes(
  server: FastifyInstance,
  node: Node,
  authorization: Authorization,
  history: History,
): void {
  server.get('/console/api/cluster', { onRequest: authorization.requires('admin') }, async () => {
    const { serverId, group } = node.settings;
    const own = { id: serverId, group, state: 'up', reason: null, since: null, ...helloFields(describeNode(node)) };
    const others = node.cluster.peers.map(({ settings: { id, group }, state, reason, since, hello }) => ({
      ...{ id, group, state, reason: reason === '' ? null : reason, since: new Date(since).toISOString() },
      ...helloFields(hello),
    }));
    return { self: serverId, time: new Date().toISOString(), nodes: [own, ...others] };
  });

  server.get('/console/api/history', { onRequest: authorization.requires('admin') }, async () => {
    const own = { id: node.settings.serverId, samples: history.recent };
    const others = await Promise.all(node.cluster.peers.map(historyAt));
    return {
      interval: INTERVAL_SECONDS,
      end: Math.round(Date.now() / 1000 / INTERVAL_SECONDS),
      nodes: [own, ...others].sort((one, other) => one.id - other.id),
    };
  });

  server.get('/console/api/groups', { onRequest: authorization.requires('list') }, async (request) => {
    const groups = node.cluster.groups.filter((group) => covers(accessOf(request), group));
    return {
      pictures: node.pictures.missing === undefined,
      groups: groups.map((name) => ({ name, needsLinks: needsLinks(name, node) })),
    };
  });

  server.post('/console/api/sign', { onRequest: authorization.requires('sign') }, async (request) => {
    const { seconds, ...query } = await readLinks(request);
    const groups = new Set(query.ids.map((text) => groupOf(text)));
    const [group = ''] = groups;
    if (groups.size !== 1) throw new Problem('bad-request', 'The files are not all of one group.');
    assertGroup(accessOf(request), group);
    if (!node.cluster.groups.includes(group)) throw new Problem('not-found', `There is no group ${group} here.`);
    const expires = Math.floor(Date.now() / 1000) + seconds;
    return { queries: await signAnywhere(group, { ...query, expires }, node) };
  });

  server.get('/console/api/copies', { onRequest: authorization.requires('list') }, async (request) => {
    const text = String((request.query as { id?: unknown }).id);
    const id = decodeId(text);
    if (!id) throw new Problem('bad-id', 'This is not the ID of a file.');
    assertGroup(accessOf(request), id.group);
    const { cluster, settings, store } = node;
    const isOwn = id.group === cluster.ownGroup;
    const own = isOwn ? [{ id: settings.serverId, group: id.group, state: 'up', holds: store.holds(id) ?? null }] : [];
    const others = await Promise.all(cluster.peersOf(id.group).map((peer) => copyAt(peer, text)));
    return { id: text, deleted: isOwn && isDeleted(id, node), nodes: [...own, ...others] };
  });
}

async function readLinks({ raw }: FastifyRequest): Promise<z.output<typeof signSchema>> {
  const body = await readSmallBody(raw, BODY_LIMIT);
  try {
    return signSchema.parse(JSON.parse(body.toString()));
  } catch (error) {
    throw new Problem('bad-request', 'Send {"ids":[…],"seconds":3600}, with up to 1,000 IDs of one group.', {
      cause: error,
    });
  }
}

function groupOf(text: string): string {
  const id = decodeId(text);
  if (!id) throw new Problem('bad-id', 'One of these is not the ID of a file.');
  return id.group;
}

/** Whether downloads of a group need a token or a signature; null while no node of it has been heard. */
function needsLinks(group: string, { settings, cluster }: Pick<Node, 'settings' | 'cluster'>): boolean | null {
  if (settings.fastdfsTokenKey !== undefined) return true;
  if (group === cluster.ownGroup) return settings.downloads === 'signed';
  return cluster.peersOf(group).find(({ hello }) => hello?.signed !== undefined)?.hello?.signed ?? null;
}

function isDeleted(id: FileId, { store }: Node): boolean {
  return store.isDeleted(id);
}

async function copyAt({ settings, client, state }: Peer, id: string) {
  const answer = await client
    .askJson('/holds', { query: { id }, timeout: ASK_MILLISECONDS })
    .catch(() => ({ holds: null })); // an unreachable peer has no copy to report; its `state` says so
  const { holds } = answer as { holds?: unknown };
  return {
    id: settings.id,
    group: settings.group,
    state,
    holds: holds === 'record' || holds === 'disk' ? holds : null,
  };
}

/** The samples of a peer; none if it cannot be asked, or is of an earlier version. */
async function historyAt({ settings: { id }, client, state }: Peer) {
  const nothing = { samples: [] };
  const answer =
    state === 'up' ? await client.askJson('/history', { timeout: ASK_MILLISECONDS }).catch(() => nothing) : nothing;
  const { data } = historySchema.safeParse(answer);
  return { id, samples: data?.samples ?? [] };
}

/** The fields of a node's hello that the console shows; null or empty if there has been no hello yet. */
function helloFields(hello: Hello | undefined) {
  return {
    version: hello?.version ?? null,
    trouble: hello?.trouble ?? null,
    files: hello?.files ?? null,
    bytes: hello?.bytes ?? null,
    saved: hello?.saved ?? null,
    capacity: hello?.capacity ?? null,
    available: hello?.available ?? null,
    behind: hello?.backlog ?? [],
    missing: hello?.missing ?? null,
    setAside: hello?.setAside ?? null,
    foreign: hello?.foreign ?? null,
    oldestScrub: hello?.oldestScrub ?? null,
    alarms: hello?.alarms ?? [],
    uploads: hello?.uploads ?? null,
    uploadedBytes: hello?.uploadedBytes ?? null,
    downloads: hello?.downloads ?? null,
  };
}
