import fileId from '../file-id/file-id.js';
import type { Alarms } from './alarm.js';
import type { Cluster } from './cluster/cluster.js';
import { type Hello, PROTOCOL, RECORDS } from './cluster/hello.js';
import { differing, type Fingerprints, fingerprints } from './cluster/shared-settings.js';
import type { KeyRing } from './config/key-ring.js';
import type { Settings } from './config/settings.js';
import type { Publisher } from './events/publisher.js';
import type { Index } from './index/index.js';
import { DIGEST_VERSION } from './index/part-digests.js';
import type { RequestsUnderWay } from './operations/requests-under-way.js';
import type { Pictures } from './pictures/pictures.js';
import type { Reload } from './reload.js';
import type { Acknowledgements } from './replication/acknowledgements.js';
import type { CopyPolicy } from './replication/copy-policy.js';
import type { Replication } from './replication/replication.js';
import type { Requests } from './requests.js';
import type { Store } from './store/store.js';
import { version } from './version.js';

/** The modules of a running node. */
export interface Node {
  settings: Settings;
  keys: KeyRing;
  store: Store;
  index: Index;
  cluster: Cluster;
  acknowledgements: Acknowledgements;
  copyPolicy: CopyPolicy;
  replication: Replication;
  alarms: Alarms;
  requests: Requests;
  pictures: Pictures;
  underWay: RequestsUnderWay;
  reload: Reload;
  /** Undefined if events are off. */
  events: Publisher | undefined;
}

/** The modules that the readiness of a node depends on. */
type HealthParts = Pick<Node, 'index' | 'store' | 'cluster' | 'copyPolicy' | 'replication'>;

/** Human-readable reason why this node takes no uploads now; undefined if it does. */
export function uploadsUnavailable({
  index,
  store,
  cluster,
  copyPolicy,
}: Pick<Node, 'index' | 'store' | 'cluster' | 'copyPolicy'>): string | undefined {
  return index.damage ?? cluster.unavailable ?? copyPolicy.unavailable ?? store.unavailable;
}

/** Human-readable reason why this node is not ready: it takes no uploads, or lags behind its peers. Undefined if it is ready. */
export function notReady(node: HealthParts): string | undefined {
  return uploadsUnavailable(node) ?? node.replication.readiness.lag;
}

/** Like `notReady`, without directories of the node and addresses of its peers, for unauthenticated clients. */
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

/** Reads from the index. Returns `otherwise` if it is damaged, which the status reports separately; throws other errors. */
function unlessDamaged<T>(index: Index, read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if (index.damage === undefined) throw error;
    return otherwise;
  }
}

/** The modules whose state a hello describes. */
type DescribedParts = HealthParts & Pick<Node, 'settings' | 'keys' | 'alarms' | 'requests'>;

/** The fingerprints of the settings that must be equal on all nodes; none without peers, which have the secret for them. */
function sharedSettings({ settings, keys }: Pick<Node, 'settings' | 'keys'>): Fingerprints {
  const { peerSecret, fastdfsTokenKey, legacy, group, downloads, downloadKey, corsOrigins, corsDownloads } = settings;
  if (peerSecret === undefined) return {};
  const groups = legacy.toSorted((one, other) => (one.group < other.group ? -1 : 1));
  return fingerprints(peerSecret, {
    ...{ keys: keys.digest, fastdfsTokenKey, legacy: groups, corsOrigins, corsDownloads },
    // The nodes of a group have these in common; another group has others.
    ...{ [`downloads of ${group}`]: downloads, [`downloadKey of ${group}`]: downloadKey },
  });
}

/** The state of this node: the hello for peers, and part of the status. */
export function describeNode(node: DescribedParts): Hello {
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
    records: RECORDS,
    ...index.totals,
    uploads: store.accepted.files,
    uploadedBytes: store.accepted.bytes,
    downloads: requests.downloads ?? null,
    capacity: sum(store.paths.map(({ space }) => space.capacity)),
    available: sum(store.paths.map(({ space, unavailable }) => (unavailable === undefined ? space.available : 0))),
    backlog: unlessDamaged(index, () => replication.followers.map(({ backlog }) => backlog), []),
    missing: missing.all,
    setAside: missing.aside,
    foreign: replication.adoption.foreign ?? 0,
    fastdfs: settings.fastdfsStorage
      ? { address: settings.fastdfsAddress ?? null, port: settings.fastdfsStorage.port }
      : null,
    oldestScrub: unlessDamaged(index, () => replication.scrub.oldest, 0),
    signed: settings.downloads === 'signed',
    shared: sharedSettings(node),
    alarms: alarms.texts.slice(0, 100).map((text) => text.slice(0, 2000)),
  };
}

function describeAdoption({ adoption: { progress, last, failure } }: Replication) {
  return { progress: progress ?? null, last: last ?? null, failure: failure ?? null };
}

/** The state of this node and its peers, for `fidfs status`. */
export function describeAll(node: Node) {
  const { settings, store, index, cluster, acknowledgements, replication } = node;
  const { antiEntropy, scrub } = replication;
  const { shared = {}, ...own } = describeNode(node);
  return {
    ...own,
    sync: settings.sync,
    copies: settings.copies,
    /** Human-readable reason why the node is not ready; null if it is. */
    notReady: notReady(node) ?? null,
    /** Number of uploads and deletions that fewer than `copies` nodes hold. */
    underCopied: acknowledgements.underReplicated(settings.copies),
    /** Progress of the current round of anti-entropy; null between rounds. */
    comparison: antiEntropy.progress ?? null,
    scrub: { progress: scrub.progress ?? null, last: scrub.last ?? null, failure: scrub.failure ?? null },
    adoption: describeAdoption(replication),
    /** How events are sent; null if they are off. */
    events: unlessDamaged(index, () => node.events?.state ?? null, null),
    /** Human-readable reason why no pictures are made; null if they are. */
    noPictures: node.pictures.missing ?? null,
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
      /** Number of entries of this node's log that the peer does not hold. */
      backlog: peer.group === settings.group ? acknowledgements.backlogOf(peer.id) : 0,
      /** Names of the settings that are other ones there, although they must be equal on all nodes. */
      differing: differing(shared, hello?.shared ?? {}),
      hello: hello ?? null,
    })),
    aside: unlessDamaged(index, () => index.missing.setAside(), []).map((file) => ({
      id: fileId.join(settings.group, file.storePath, file.directory, file.name),
      ...{ name: file.name, tries: file.tries, reason: file.reason },
    })),
  };
}

/** The output of `fidfs status --json`. */
export type Status = ReturnType<typeof describeAll>;
