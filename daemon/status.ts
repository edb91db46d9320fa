import fileId from '../file-id/file-id.js';
import type { Alarms } from './alarm.js';
import type { Cluster } from './cluster/cluster.js';
import { type Hello, PROTOCOL } from './cluster/hello.js';
import type { Settings } from './config/settings.js';
import type { Index } from './index/index.js';
import { DIGEST_VERSION } from './index/part-digests.js';
import type { Acknowledgements } from './replication/acknowledgements.js';
import type { CopyPolicy } from './replication/copy-policy.js';
import type { Replication } from './replication/replication.js';
import type { Requests } from './requests.js';
import type { Store } from './store/store.js';
import { version } from './version.js';

/** The modules of a running node. */
export interface Node {
  settings: Settings;
  store: Store;
  index: Index;
  cluster: Cluster;
  acknowledgements: Acknowledgements;
  copyPolicy: CopyPolicy;
  replication: Replication;
  alarms: Alarms;
  requests: Requests;
}

/** What the readiness of a node depends on. */
type HealthParts = Pick<Node, 'index' | 'store' | 'cluster' | 'copyPolicy' | 'replication'>;

/** Why this node takes no uploads now, for people; undefined when it does. */
export function uploadsUnavailable({
  index,
  store,
  cluster,
  copyPolicy,
}: Pick<Node, 'index' | 'store' | 'cluster' | 'copyPolicy'>): string | undefined {
  return index.damage ?? cluster.unavailable ?? copyPolicy.unavailable ?? store.unavailable;
}

/** Why this node is not ready, for people: it takes no uploads, or has not what its peers have. Undefined when it is. */
export function notReady(node: HealthParts): string | undefined {
  return uploadsUnavailable(node) ?? node.replication.readiness.lag;
}

/** The same for anybody who asks: without the directories of the node and the addresses of its peers. */
export function notReadyInPublic(node: HealthParts & Pick<Node, 'settings'>): string | undefined {
  const { store, settings } = node;
  const reason = notReady(node);
  if (reason === undefined) return undefined;
  const text = settings.peers.reduce((left, { url }) => left.replaceAll(` (${url})`, ''), store.withoutRoots(reason));
  return text
    .replaceAll(`: ${settings.data}`, '')
    .replaceAll(settings.data, 'the data directory')
    .replace(/https?:\/\/[^\s"',;)]+/g, 'another address');
}

/** What the index says, for people; something else where it is damaged, which is said besides. */
function unlessDamaged<T>(index: Index, read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if (index.damage === undefined) throw error;
    return otherwise;
  }
}

/** What this node says of itself to peers and to people. */
export function describeNode(node: Node): Hello {
  const { settings, store, index, replication, alarms, requests } = node;
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  const missing = unlessDamaged(index, () => index.missing.totals, { all: 0, aside: 0, pending: 0 });
  return {
    protocol: PROTOCOL,
    version,
    serverId: settings.serverId,
    group: settings.group,
    storePaths: store.paths.length,
    ...store.usable,
    trouble: uploadsUnavailable(node) ?? null,
    incarnation: index.replicationLog.epoch,
    end: index.replicationLog.published,
    digests: DIGEST_VERSION,
    ...index.totals,
    uploads: store.accepted.files,
    uploadedBytes: store.accepted.bytes,
    downloads: requests.downloads ?? null,
    capacity: sum(store.paths.map(({ space }) => space.capacity)),
    available: sum(store.paths.map(({ space, unavailable }) => (unavailable === undefined ? space.available : 0))),
    backlog: unlessDamaged(index, () => replication.followers.map(({ backlog }) => backlog), []),
    missing: missing.all,
    setAside: missing.aside,
    oldestScrub: unlessDamaged(index, () => replication.scrub.oldest, 0),
    alarms: alarms.texts.slice(0, 100).map((text) => text.slice(0, 2000)),
  };
}

/** Everything, for `fidfs status`. */
export function describeAll(node: Node) {
  const { settings, store, index, cluster, acknowledgements, replication } = node;
  const { antiEntropy, scrub } = replication;
  return {
    ...describeNode(node),
    sync: settings.sync,
    copies: settings.copies,
    /** Why it is not ready, for people. */
    notReady: notReady(node) ?? null,
    /** Uploads and deletions that fewer nodes have than are promised. */
    underCopied: acknowledgements.underReplicated(settings.copies),
    /** How far the round of anti-entropy under way is. */
    comparison: antiEntropy.progress ?? null,
    scrub: { progress: scrub.progress ?? null, last: scrub.last ?? null, failure: scrub.failure ?? null },
    storePaths: store.paths.map(({ number, root, space, unavailable }) => ({
      number,
      root,
      ...space,
      trouble: unavailable ?? null,
    })),
    peers: cluster.peers.map(({ settings: peer, state, reason, since, hello }) => ({
      ...peer,
      state,
      reason: reason === '' ? null : reason,
      since: new Date(since).toISOString(),
      /** Entries of this node's log that it has not got. */
      backlog: peer.group === settings.group ? acknowledgements.backlogOf(peer.id) : 0,
      hello: hello ?? null,
    })),
    aside: unlessDamaged(index, () => index.missing.setAside(), []).map((file) => ({
      id: fileId.join(settings.group, file.storePath, file.directory, file.name),
      ...{ name: file.name, tries: file.tries, reason: file.reason },
    })),
  };
}

/** What `fidfs status --json` prints. */
export type Status = ReturnType<typeof describeAll>;
