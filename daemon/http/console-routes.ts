import type { FastifyInstance, onRequestHookHandler } from 'fastify';
import type { FileId } from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import type { Hello } from '../cluster/hello.js';
import { describeNode, type Node } from '../status.js';
import { decodeId } from './answers.js';
import { Problem } from './problems.js';

const ASK_MILLISECONDS = 3000;

/** What the web page asks about the cluster and about where a file is. */
export function addConsoleRoutes(server: FastifyInstance, node: Node, authorize: onRequestHookHandler): void {
  const hooks = { onRequest: authorize };

  server.get('/console/api/cluster', hooks, async () => {
    const { serverId, group } = node.settings;
    const own = { id: serverId, group, state: 'up', reason: null, since: null, ...said(describeNode(node)) };
    const others = node.cluster.peers.map(({ settings: { id, group }, state, reason, since, hello }) => ({
      ...{ id, group, state, reason: reason === '' ? null : reason, since: new Date(since).toISOString() },
      ...said(hello),
    }));
    return { self: serverId, time: new Date().toISOString(), nodes: [own, ...others] };
  });

  server.get('/console/api/copies', hooks, async (request) => {
    const text = String((request.query as { id?: unknown }).id);
    const id = decodeId(text);
    if (!id) throw new Problem('bad-id', 'This is not the ID of a file.');
    const { cluster, settings, store } = node;
    const isOwn = id.group === cluster.ownGroup;
    const own = isOwn ? [{ id: settings.serverId, group: id.group, state: 'up', holds: store.holds(id) ?? null }] : [];
    const others = await Promise.all(cluster.peersOf(id.group).map((peer) => copyAt(peer, text)));
    return { id: text, deleted: isOwn && isDeleted(id, node), nodes: [...own, ...others] };
  });
}

function isDeleted(id: FileId, { store }: Node): boolean {
  return id.kind !== 'trunk' && store.isDeleted(id);
}

async function copyAt({ settings, client, state }: Peer, id: string) {
  const told = await client
    .askJson('/holds', { query: { id }, timeout: ASK_MILLISECONDS })
    .catch(() => ({ holds: null })); // its state says that it cannot be asked
  const { holds } = told as { holds?: unknown };
  return {
    id: settings.id,
    group: settings.group,
    state,
    holds: holds === 'record' || holds === 'disk' ? holds : null,
  };
}

/** What a node says of itself, as far as it is for people; null for one that was never heard of. */
function said(hello: Hello | undefined) {
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
    oldestScrub: hello?.oldestScrub ?? null,
    alarms: hello?.alarms ?? [],
    uploads: hello?.uploads ?? null,
    uploadedBytes: hello?.uploadedBytes ?? null,
    downloads: hello?.downloads ?? null,
  };
}
