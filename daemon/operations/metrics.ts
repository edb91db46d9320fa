import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Peer } from '../cluster/cluster.js';
import { type Node, notReady } from '../status.js';
import type { Store } from '../store/store.js';

/** Former names of metrics and their current names; both are exported for one version. */
const FORMER_NAMES: Readonly<Record<string, string>> = {
  fidfs_under_copied_operations: 'fidfs_under_replicated_entries',
  fidfs_backlog_operations: 'fidfs_replication_lag_entries',
  fidfs_backlog_seconds: 'fidfs_replication_lag_seconds',
};

function formerly(name: string): string {
  const current = FORMER_NAMES[name];
  return current === undefined ? '' : ` Deprecated: ${current}.`;
}

/** The daemon's metrics, with Prometheus naming and base units. */
export interface Metrics {
  uploads: Counter<'result'>;
  uploadedBytes: Counter;
  uploadSeconds: Histogram;
  deletions: Counter<'result'>;
  /** By the name of the key, of which there are few, and the right that the request needed. */
  keyRequests: Counter<'key' | 'right'>;
  wrongKeys: Counter;
  pictures: Counter<'result'>;
  pictureSeconds: Histogram;
  registry: Registry;
}

/** Creates the metrics. Gauges and totals that exist elsewhere are read when the metrics are scraped. */
export function createMetrics(node: Node): Metrics {
  const { store, index, cluster, acknowledgements, replication, alarms, settings } = node;
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge('fidfs_ready', '1 while the node takes uploads and has what its peers have.', () =>
    notReady(node) === undefined ? 1 : 0,
  );
  gauge('fidfs_files', 'Files in the index.', () => index.totals.files);
  gauge('fidfs_files_bytes', 'Bytes of all files in the index.', () => index.totals.bytes);
  gauge('fidfs_deduplicated_bytes', 'Of those, bytes that are stored once with others.', () => index.totals.saved);
  const pathGauge = (name: string, help: string, read: (path: Store['paths'][number]) => number) =>
    new Gauge({
      ...{ name, help, registers, labelNames: ['store_path'] as const },
      collect() {
        for (const path of store.paths) this.set({ store_path: path.number }, read(path));
      },
    });
  pathGauge('fidfs_store_path_size_bytes', 'Size of the store path.', (path) => path.space.capacity);
  pathGauge('fidfs_store_path_available_bytes', 'Bytes that new files may take.', (path) => path.space.available);
  pathGauge(
    'fidfs_store_path_reserved_bytes',
    'Bytes that uploads under way are still to take.',
    (path) => path.space.reserved,
  );
  pathGauge('fidfs_store_path_up', '1 while the store path takes files.', (path) =>
    path.unavailable === undefined ? 1 : 0,
  );
  gauge('fidfs_missing_files', 'Files that should be here and are not.', () => index.missing.totals.all);
  gauge(
    'fidfs_set_aside_files',
    'Files that could not be fetched after several tries.',
    () => index.missing.totals.aside,
  );
  gauge(
    'fidfs_foreign_files',
    'Files of FastDFS without a record, which only this node has; "fidfs adopt" takes them in.',
    () => replication.adoption.foreign ?? 0,
  );
  for (const name of ['fidfs_under_replicated_entries', 'fidfs_under_copied_operations']) {
    gauge(name, `Uploads and deletions that fewer nodes have than promised.${formerly(name)}`, () =>
      acknowledgements.underReplicated(settings.copies),
    );
  }
  gauge(
    'fidfs_oldest_scrub_timestamp_seconds',
    'When the last complete scrub began.',
    () => replication.scrub.oldest ?? 0,
  );
  const perPeer = (name: string, help: string, read: (peer: number) => number, peers: () => readonly Peer[]) =>
    new Gauge({
      ...{ name, help, registers, labelNames: ['peer'] as const },
      collect() {
        // Without those of peers that have gone.
        this.reset();
        for (const { id: peer } of peers()) this.set({ peer }, read(peer));
      },
    });
  const all = () => cluster.peers;
  const group = () => cluster.group;
  const backlogOf = (id: number) => replication.followers.find((follower) => follower.id === id)?.backlog;
  perPeer('fidfs_peer_up', '1 while the peer answers.', (id) => (cluster.peer(id)?.isUp ? 1 : 0), all);
  for (const name of ['fidfs_replication_lag_entries', 'fidfs_backlog_operations']) {
    const help = `Entries of the peer's replication log that this node has not got.${formerly(name)}`;
    perPeer(name, help, (id) => backlogOf(id)?.entries ?? 0, group);
  }
  for (const name of ['fidfs_replication_lag_seconds', 'fidfs_backlog_seconds']) {
    const help = `Age of the first of those entries.${formerly(name)}`;
    perPeer(name, help, (id) => backlogOf(id)?.seconds ?? 0, group);
  }
  new Gauge({
    ...{ name: 'fidfs_alarms', help: 'Alarms that are not over.', registers, labelNames: ['alarm'] as const },
    collect() {
      this.reset();
      for (const [alarm, count] of alarms.counts) this.set({ alarm }, count);
    },
  });
  const total = (name: string, help: string, read: () => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  total('fidfs_batches_total', 'Batches made durable.', () => store.writer.totals.batches);
  total('fidfs_batch_changes_total', 'Uploads and deletions in those batches.', () => store.writer.totals.changes);
  total('fidfs_sync_seconds_total', 'Time spent in syncs.', () => store.writer.totals.syncSeconds);
  gauge('fidfs_event_backlog_events', 'Events that are to be sent.', () => node.events?.backlog.events ?? 0);
  gauge('fidfs_event_backlog_seconds', 'Age of the first of those events.', () => node.events?.backlog.seconds ?? 0);
  total('fidfs_events_sent_total', 'Events that arrived.', () => node.events?.totals.sent ?? 0);
  total(
    'fidfs_events_dropped_total',
    'Events that were not sent, because too many waited.',
    () => node.events?.totals.dropped ?? 0,
  );
  return {
    registry,
    uploads: new Counter({ name: 'fidfs_uploads_total', help: 'Upload requests.', labelNames: ['result'], registers }),
    uploadedBytes: new Counter({ name: 'fidfs_uploaded_bytes_total', help: 'Bytes stored.', registers }),
    uploadSeconds: new Histogram({
      ...{ name: 'fidfs_upload_seconds', help: 'Time from the head of an upload to its 201.', registers },
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30, 300],
    }),
    deletions: new Counter({
      name: 'fidfs_deletions_total',
      help: 'Deletion requests.',
      labelNames: ['result'],
      registers,
    }),
    keyRequests: new Counter({
      ...{
        name: 'fidfs_key_requests_total',
        help: 'Requests that a key, or an upload token signed with it, permitted.',
      },
      labelNames: ['key', 'right'],
      registers,
    }),
    wrongKeys: new Counter({
      ...{ name: 'fidfs_wrong_keys_total', help: 'Requests with a wrong key, or a token that no key has signed.' },
      registers,
    }),
    pictures: new Counter({
      ...{ name: 'fidfs_pictures_total', help: 'Pictures that were not in the cache of nginx.', registers },
      labelNames: ['result'],
    }),
    pictureSeconds: new Histogram({
      ...{ name: 'fidfs_picture_seconds', help: 'Time to make a picture, with the wait for a process.', registers },
      buckets: [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20],
    }),
  };
}
