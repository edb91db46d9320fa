import type { FastifyInstance } from 'fastify';
import type { FileId } from '../../file-id/file-id.js';
import type { Peer } from '../cluster/cluster.js';
import type { Hello } from '../cluster/hello.js';
import { Problem } from '../operations/problems.js';
import { describeNode, type Node } from '../status.js';
import { decodeId } from './answers.js';
import type { Authorization } from './authorization.js';
import { accessOf, assertGroup } from './rights/limits.js';

const ASK_MILLISECONDS = 3000;

/** Adds the routes of the web console: the state of the cluster, and the copies of a file on each node. */
export function addConsoleRoutes(server: FastifyInstance, node: Node, authorization: Authorization): void {
  server.get('/console/api/cluster', { onRequest: authorization.requires('admin') }, async () => {
    const { serverId, group } = node.settings;
    const own = { id: serverId, group, state: 'up', reason: null, since: null, ...helloFields(describeNode(node)) };
    const others = node.cluster.peers.map(({ settings: { id, group }, state, reason, since, hello }) => ({
      ...{ id, group, state, reason: reason === '' ? null : reason, since: new Date(since).toISOString() },
      ...helloFields(hello),
    }));
    return { self: serverId, time: new Date().toISOString(), nodes: [own, ...others] };
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
