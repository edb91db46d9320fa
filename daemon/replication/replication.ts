import fileId from '../../file-id/file-id.js';
import type { Alarms } from '../alarm.js';
import type { Cluster, Peer } from '../cluster/cluster.js';
import type { Settings } from '../config/settings.js';
import type { Index } from '../index/index.js';
import { Copies } from '../store/copies.js';
import type { Store } from '../store/store.js';
import type { Acknowledgements } from './acknowledgements.js';
import { Adoption } from './adoption.js';
import { AntiEntropy } from './anti-entropy.js';
import { AntiEntropySchedule } from './anti-entropy-schedule.js';
import { Fetcher } from './fetcher.js';
import { Follower } from './follower.js';
import { keepLogTruncated } from './log-truncation.js';
import { NoRoom } from './no-room.js';
import { RateLimit } from './rate-limit.js';
import { Readiness } from './readiness.js';
import { Removal } from './removal.js';
import { Scrub } from './scrub.js';
import { Source } from './source.js';

/** How long a start waits for the state of each peer, and for the deletions of the peers that are up, in milliseconds. */
const FIRST_LOOK_MILLISECONDS = 2000;
const FIRST_DELETIONS_MILLISECONDS = 10_000;

export interface ReplicationParts {
  /** Change in place; see `reload`. */
  settings: Settings;
  /** The server ids of the group. Changes in place. */
  ids: ReadonlySet<number>;
  cluster: Cluster;
  store: Store;
  index: Index;
  acknowledgements: Acknowledgements;
  alarms: Alarms;
  info(progress: object, message: string): void;
  warn(message: string, error: unknown): void;
}

/** Replication with the other nodes of the group: constructs, starts and stops its parts. */
export class Replication {
  readonly source: Source;
  readonly fetcher: Fetcher;
  readonly antiEntropy: AntiEntropy;
  /** Of the nodes that are in the group now. Changes in place. */
  readonly followers: Follower[] = [];
  readonly schedule: AntiEntropySchedule;
  readonly readiness: Readiness;
  readonly scrub: Scrub;
  readonly adoption: Adoption;
  private readonly removal: Removal;
  private readonly limits: RateLimit[];
  private isStarted = false;
  private readonly ending = new AbortController();
  private readonly newFollower: (peer: Peer) => Follower;
  private truncating: Promise<void> = Promise.resolve();

  constructor(private readonly parts: ReplicationParts) {
    const { settings, ids, cluster, store, index, acknowledgements, alarms, info, warn } = parts;
    const { group } = settings;
    const { paths } = store;
    const copies = new Copies(settings, store, index);
    this.source = new Source(group, paths, index, acknowledgements);
    const limit = new RateLimit(settings.repairRate);
    this.fetcher = new Fetcher({
      ...{ settings, cluster, index, paths, copies, limit, warn },
      noRoom: new NoRoom(alarms, index.missing),
      onFetched: ({ peer }) => this.followers.find(({ id }) => id === peer)?.tell(),
      onFailed: ({ name, tries }, reason) =>
        info({ name, tries: tries + 1, reason }, 'a file could not be fetched yet'),
      onSetAside: ({ storePath, directory, name }, reason) => {
        const id = fileId.join(group, storePath, directory, name);
        alarms.raise('set-aside', name, `${id} could not be fetched: ${reason}`);
      },
    });
    const { fetcher } = this;
    const antiEntropy = new AntiEntropy({ group, index, paths, copies, fetcher, limit, alarms, info });
    const removal = new Removal({ group, index, copies, storePaths: paths.length, warn });
    const { followers } = this;
    const readiness = new Readiness(followers, index.missing, settings);
    const log = index.replicationLog;
    this.schedule = new AntiEntropySchedule({
      ...{ settings, log, alarms, antiEntropy, followers, readiness, info, warn },
    });
    this.antiEntropy = antiEntropy;
    this.removal = removal;
    this.readiness = readiness;
    const adoptionLimit = new RateLimit(settings.repairRate);
    this.limits = [limit, adoptionLimit];
    this.adoption = new Adoption({ group, ids, store, index, limit: adoptionLimit, warn });
    const isAlone = () => cluster.group.length === 0;
    this.scrub = new Scrub({ settings, ids, isAlone, store, index, fetcher, alarms, warn });
    this.newFollower = (peer) =>
      new Follower(peer, { group, index, copies, fetcher, antiEntropy, removal, alarms, info });
    for (const peer of cluster.group) followers.push(this.newFollower(peer));
  }

  /**
   * Applies the deferred deletions, and the deletions of the peers that are up. To be called before the node serves files: it
   * may have been down, or restored to an older copy, and must not serve files that were deleted in the meantime.
   */
  async takeDeletions(): Promise<void> {
    const { cluster, warn } = this.parts;
    await this.removal.removeDeferred();
    const signal = AbortSignal.any([this.ending.signal, AbortSignal.timeout(FIRST_DELETIONS_MILLISECONDS)]);
    await cluster.lookAtAll(FIRST_LOOK_MILLISECONDS);
    const up = cluster.group.filter(({ isUp }) => isUp);
    const take = (peer: Peer) => this.antiEntropy.takeDeletions(peer, signal);
    const failed = (error: unknown) =>
      warn('the deletions of a peer could not be fetched before the start; anti-entropy fetches them later', error);
    await Promise.all(up.map((peer) => take(peer).catch(failed)));
  }

  start(): void {
    this.isStarted = true;
    this.scrub.start();
    this.adoption.start();
    this.fetcher.start();
    for (const follower of this.followers) follower.start();
    this.schedule.start();
    const { acknowledgements, index, warn } = this.parts;
    const followers = () => this.followers.map(({ id }) => id);
    const truncation = { log: index.replicationLog, acknowledgements, removal: this.removal, followers, warn };
    this.truncating = keepLogTruncated(truncation, this.ending.signal);
  }

  /** Follows a node that has joined the group. */
  add(peer: Peer): void {
    // From the first one on. Not the other way round: a cursor of this epoch, of a node that comes back, would miss what was not logged.
    this.parts.index.replicationLog.enabled = true;
    const follower = this.newFollower(peer);
    follower.isAwaited = false;
    this.followers.push(follower);
    if (!this.isStarted) return;
    follower.start();
    this.schedule.add(follower);
  }

  /** Asks a peer at its new address. */
  move({ id }: Peer): void {
    this.followers.find((follower) => follower.id === id)?.tell();
  }

  /** Ends what concerns a node that has left the group, whose acknowledgements do not count any more. */
  remove(peer: Peer): void {
    const { acknowledgements } = this.parts;
    const place = this.followers.findIndex((follower) => follower.peer === peer);
    const [follower] = place < 0 ? [] : this.followers.splice(place, 1);
    acknowledgements.forget(peer.id, this.followers.length);
    if (!follower) return;
    void follower.stop().then(() => follower.clearAlarms());
    this.schedule.remove(follower);
  }

  /** Takes up settings that have changed. */
  reload(): void {
    for (const limit of this.limits) limit.bytesPerSecond = this.parts.settings.repairRate;
  }

  async stop(): Promise<void> {
    this.ending.abort();
    this.source.stop();
    const scheduleStops = this.schedule.stop();
    await Promise.all(this.followers.map((follower) => follower.stop()));
    await this.fetcher.stop();
    await Promise.all([this.scrub.stop(), this.adoption.stop()]);
    await Promise.all([scheduleStops, this.truncating]);
  }
}
