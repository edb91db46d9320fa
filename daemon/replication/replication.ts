import { setTimeout as sleep } from 'node:timers/promises';
import fileId from '../../file-id/file-id.js';
import type { Alarms } from '../alarm.js';
import type { Cluster, Peer } from '../cluster/cluster.js';
import { groupIds, type Settings } from '../config/settings.js';
import type { Index } from '../index/index.js';
import { Copies } from '../store/copies.js';
import type { RemovedFile, StoredFile } from '../store/records.js';
import type { Store } from '../store/store.js';
import { counted } from '../words.js';
import { Acknowledgements } from './acknowledgements.js';
import { AntiEntropy } from './anti-entropy.js';
import { Fetcher } from './fetcher.js';
import { Follower } from './follower.js';
import { RateLimit } from './rate-limit.js';
import { Removal } from './removal.js';
import { Scrub } from './scrub.js';
import { Source } from './source.js';

/** How often the log is truncated behind the cursors of all peers, and how many entries go at once. */
const TRUNCATE_MILLISECONDS = 1000;
const TRUNCATE_ENTRIES = 5000;
/** The log holds no more than this, whatever the cursors are: anti-entropy covers the rest. */
const LONGEST_LOG = 2_000_000;
/** A peer that is down may be back at once. One that comes and goes starts no more rounds of anti-entropy than one in this time, in milliseconds. */
const SETTLE_MILLISECONDS = 500;
const DOWN_PAUSE_MILLISECONDS = 30_000;
/** How long a start waits until it is known which peers are there, and for what those have deleted, in milliseconds. */
const FIRST_LOOK_MILLISECONDS = 2000;
const FIRST_DELETIONS_MILLISECONDS = 10_000;
/** How long a deletion waits for all peers that are there to have done it too, in milliseconds. */
const DELETION_PATIENCE = 1000;

export interface ReplicationParts {
  settings: Settings;
  cluster: Cluster;
  store: Store;
  index: Index;
  alarms: Alarms;
  info(progress: object, message: string): void;
  warn(message: string, error: unknown): void;
}

/** Copies from and to the other nodes of the group. */
export class Replication {
  readonly acknowledgements: Acknowledgements;
  readonly source: Source;
  readonly fetcher: Fetcher;
  readonly antiEntropy: AntiEntropy;
  readonly followers: Follower[];
  readonly scrub: Scrub;
  private readonly removal: Removal;
  private readonly ending = new AbortController();
  private running: Promise<unknown> = Promise.resolve();
  /** Aborted, and made anew, when all peers are to be compared with now. */
  private urgent = new AbortController();
  /** Whether, once since the start, no file was pending that anti-entropy had found. */
  private hasNothingPending = false;
  /** Deletions that are waited for, by their keys in hex. */
  private readonly deletions = new Map<string, Promise<void>>();
  /** Followers that have shown that this node's log has lost entries; empty when all has been compared since. */
  private readonly ahead = new Set<number>();
  private downTimer: NodeJS.Timeout | undefined;
  /** In milliseconds of `performance.now()`. */
  private lastDown = Number.NEGATIVE_INFINITY;

  constructor(private readonly parts: ReplicationParts) {
    const { settings, cluster, store, index, alarms, info, warn } = parts;
    const { group, repairRate } = settings;
    const { paths } = store;
    const copies = new Copies(settings, store, index);
    this.acknowledgements = new Acknowledgements(
      index.replicationLog,
      (id) => isGone(cluster.peer(id)),
      (id, after) => this.recover(id, after),
    );
    this.source = new Source(group, paths, index, this.acknowledgements);
    const limit = new RateLimit(repairRate);
    this.fetcher = new Fetcher({
      ...{ settings, cluster, index, paths, copies, limit, warn },
      onFetched: ({ peer }) => this.followers.find(({ id }) => id === peer)?.tell(),
      onFailed: ({ name, tries }, reason) =>
        info({ name, tries: tries + 1, reason }, 'a file could not be fetched yet'),
      onSetAside: ({ storePath, directory, name }, reason) => {
        const id = fileId.join(group, storePath, directory, name);
        alarms.raise('set-aside', name, `${id} could not be fetched: ${reason}`);
      },
    });
    this.antiEntropy = new AntiEntropy({ group, index, paths, copies, fetcher: this.fetcher, limit, info });
    if (settings.copies > 1) store.restrictPaths((number) => this.canCopy(number));
    store.writer.isCopied = settings.copies > 1;
    this.removal = new Removal({ group, index, copies, storePaths: paths.length, warn });
    const { fetcher, antiEntropy, removal } = this;
    const ids = groupIds(settings);
    const isAlone = cluster.group.length === 0;
    this.scrub = new Scrub({ days: settings.scrubDays, ids, isAlone, store, index, fetcher, alarms, warn });
    this.followers = cluster.group.map(
      (peer) => new Follower(peer, { group, index, copies, fetcher, antiEntropy, removal, info, warn }),
    );
  }

  /**
   * Does the deletions that were deferred, and takes over what the peers that can be reached have deleted. Before anything is served: this node may have been away, or
   * its data directory put back to an older copy, and a deleted ID must not come back with it.
   */
  async takeDeletions(): Promise<void> {
    const { cluster, warn } = this.parts;
    await this.removal.removeDeferred();
    const signal = AbortSignal.any([this.ending.signal, AbortSignal.timeout(FIRST_DELETIONS_MILLISECONDS)]);
    await cluster.lookAtAll(FIRST_LOOK_MILLISECONDS);
    const up = cluster.group.filter(({ isUp }) => isUp);
    const take = (peer: Peer) => this.antiEntropy.takeDeletions(peer, signal);
    const failed = (error: unknown) => warn('a peer could not be asked what was deleted; it is asked again', error);
    await Promise.all(up.map((peer) => take(peer).catch(failed)));
  }

  start(): void {
    this.scrub.start();
    this.fetcher.start();
    for (const follower of this.followers) follower.start();
    this.running = Promise.all([...this.followers.map((one) => this.runAntiEntropy(one)), this.truncateLog()]);
  }

  async stop(): Promise<void> {
    this.ending.abort();
    this.urgent.abort();
    clearTimeout(this.downTimer);
    this.source.stop();
    await Promise.all(this.followers.map((follower) => follower.stop()));
    await this.fetcher.stop();
    await this.scrub.stop();
    await this.running;
  }

  /** Why uploads cannot get their copies now, for people; undefined when they can. */
  get unavailable(): string | undefined {
    const { copies } = this.parts.settings;
    const nodes = 1 + this.acknowledgements.live.length;
    return nodes < copies
      ? `${copies} copies are promised and ${counted(nodes, 'node')} ${nodes === 1 ? 'is' : 'are'} there`
      : undefined;
  }

  /** Why this node has not what its peers have, for people; undefined when it has. */
  get lag(): string | undefined {
    for (const { peer, caughtUp, hasCompared, backlog, id } of this.followers) {
      if (peer.state === 'unknown') return `it has not asked node ${id} yet`;
      // Of a peer that is not there, nothing can be had.
      if (!peer.isUp) continue;
      if (!caughtUp || !hasCompared) return `it has not yet had everything of node ${id} since its start`;
      if (backlog.seconds * 1000 > this.parts.settings.maxLag)
        return `it is ${Math.round(backlog.seconds)} s behind node ${id}`;
    }
    // A node alone has nobody to fetch a file from that its disk has lost.
    if (!this.hasNothingPending && this.followers.length > 0) {
      const { pending } = this.parts.index.missing.totals;
      if (pending > 0) return `${counted(pending, 'file')} ${pending === 1 ? 'is' : 'are'} still to be fetched`;
      this.hasNothingPending = true;
    }
    return undefined;
  }

  /** Whether the live followers, with this node, can hold as many copies as are promised on a store path. */
  private canCopy(storePath: number): boolean {
    const { settings, cluster } = this.parts;
    const followers = this.acknowledgements.live.filter((id) => {
      const { hello } = cluster.peer(id) ?? {};
      return !hello || (hello.well.includes(storePath) && !hello.full.includes(storePath));
    });
    return 1 + followers.length >= settings.copies;
  }

  /** Resolves with true when the promised number of nodes hold these files, false when that came no nearer in time. */
  waitForAcknowledgements(files: readonly StoredFile[]): Promise<boolean> {
    const { copies, copyTimeout } = this.parts.settings;
    if (copies === 1) return Promise.resolve(true);
    return this.acknowledgements.waitFor(sequencesOf(files), copies - 1, copyTimeout);
  }

  /** On how many nodes a file, or its deletion, is durable. */
  copiesOf({ sequence }: Pick<StoredFile | RemovedFile, 'sequence'>): number {
    return 1 + (sequence === undefined ? 0 : this.acknowledgements.countFor(sequence));
  }

  /**
   * Resolves when the peers that can be reached have deleted a file too, or have taken too long, with on how many nodes the
   * deletion is durable. As many as would hold a copy are waited for as copies are: were this node destroyed now, the
   * deletion would have to be on the others.
   */
  async spread(removed: RemovedFile): Promise<number> {
    const key = removed.key.toString('hex');
    const spreading = this.waitForDeletion(removed);
    this.deletions.set(key, spreading);
    try {
      await spreading;
    } finally {
      this.deletions.delete(key);
    }
    return this.copiesOf(removed);
  }

  /** Resolves when nobody waits for this deletion any more. */
  async spreading(key: Buffer): Promise<void> {
    await this.deletions.get(key.toString('hex'));
  }

  private async waitForDeletion(removed: RemovedFile): Promise<void> {
    const { settings, cluster } = this.parts;
    const { storePath } = removed;
    const numbers = sequencesOf([removed]);
    const reachable = cluster.group.filter((peer) => !isGone(peer));
    // Who has not got the disk now cannot write the deletion down.
    const able = reachable.filter(({ hello }) => hello?.well.includes(storePath) !== false).length;
    await Promise.all([
      this.acknowledgements.waitFor(numbers, Math.min(settings.copies - 1, able), settings.copyTimeout),
      this.acknowledgements.waitFor(numbers, reachable.length, DELETION_PATIENCE),
    ]);
  }

  /** Deletes files whose copies were not made in time, everywhere. */
  async undo(files: readonly StoredFile[]): Promise<void> {
    await Promise.all(files.map(({ id }) => this.parts.store.remove(fileId.decode(id))));
  }

  /**
   * A peer has gone, maybe for good: what it has told some of the others and not all (a deletion above all) is now to be
   * had from those only.
   */
  peerIsDown(): void {
    const wait = Math.max(SETTLE_MILLISECONDS, this.lastDown + DOWN_PAUSE_MILLISECONDS - performance.now());
    this.downTimer ??= setTimeout(() => {
      this.downTimer = undefined;
      this.lastDown = performance.now();
      this.parts.info({}, 'a peer has gone: everything is compared with the others');
      this.compareWithAllNow();
    }, wait).unref();
  }

  /**
   * A follower has entries of this node's log that the log has lost: the data directory is an older copy of itself (a snapshot
   * that was put back), or a disk lost what it had said was stable. What was lost comes back from the peers, by anti-entropy with
   * each; then a new epoch, of which no earlier cursor is worth anything, makes each of them compare with this node, so that
   * those learn it, too, which had not yet heard of it when it was lost.
   */
  private recover(peer: number, after: number): void {
    if (this.ahead.has(peer)) return;
    this.ahead.add(peer);
    const { settings, index, alarms } = this.parts;
    const lost = `node ${peer} has followed the log of this node to entry ${after}, which is at ${index.replicationLog.published} and does not know that any more`;
    const cause = 'the data directory was put back to an older copy, or its disk lost writes';
    alarms.raise(
      'rolled-back',
      `node ${settings.serverId}`,
      `${lost}: ${cause}; what is lost is had from the other nodes`,
    );
    this.hasNothingPending = false;
    for (const follower of this.followers) follower.hasCompared = false;
    this.compareWithAllNow();
  }

  /** Ends a recovery when everything has been compared with every peer that is there, and with those that are ahead. */
  private endRecovery(): void {
    const isOpen = ({ id, peer, hasCompared }: Follower) => !hasCompared && (!isGone(peer) || this.ahead.has(id));
    if (this.ahead.size === 0 || this.followers.some(isOpen)) return;
    this.parts.index.replicationLog.beginEpoch({ continues: false });
    this.ahead.clear();
    this.parts.alarms.clear('rolled-back', `node ${this.parts.settings.serverId}`);
  }

  /** A round whose peer is down stays due until the peer is up. */
  private compareWithAllNow(): void {
    for (const follower of this.followers) follower.isRoundDue = true;
    this.urgent.abort();
    this.urgent = new AbortController();
  }

  /** A round with a peer as soon as it is up after a start, one when another peer has gone down, and one each `repairInterval`. */
  private async runAntiEntropy(follower: Follower): Promise<void> {
    const { repairInterval } = this.parts.settings;
    const { signal } = this.ending;
    while (!signal.aborted) {
      const { urgent } = this;
      if (follower.peer.isUp && (await this.compare(follower.peer)) && this.urgent === urgent) {
        follower.hasCompared = true;
        follower.isRoundDue = false;
        this.endRecovery();
      }
      // Not all nodes of a group at the same time.
      const isDone = follower.hasCompared && !follower.isRoundDue;
      const pause = isDone ? repairInterval * (0.9 + 0.2 * Math.random()) : SETTLE_MILLISECONDS;
      await sleep(pause, undefined, { signal: urgent.signal }).catch(() => {});
    }
  }

  private async compare(peer: Peer): Promise<boolean> {
    try {
      await this.antiEntropy.run(peer, this.ending.signal);
      return true;
    } catch (error) {
      if (!this.ending.signal.aborted)
        this.parts.warn('anti-entropy with a peer did not finish; it is repeated', error);
      return false;
    }
  }

  private async truncateLog(): Promise<void> {
    const { signal } = this.ending;
    const { replicationLog } = this.parts.index;
    const ids = this.followers.map(({ id }) => id);
    while (!signal.aborted) {
      await sleep(TRUNCATE_MILLISECONDS, undefined, { signal }).catch(() => {});
      const passed = Math.max(this.acknowledgements.passedByAll(ids), replicationLog.published - LONGEST_LOG);
      if (signal.aborted) return;
      try {
        await this.removal.removeDeferred();
        replicationLog.truncate(Math.min(passed, replicationLog.startsAfter + TRUNCATE_ENTRIES));
      } catch (error) {
        this.parts.warn(
          'the replication log could not be truncated, or deferred deletions not be done; it is tried again',
          error,
        );
      }
    }
  }
}

function isGone(peer: Peer | undefined): boolean {
  return peer?.state === 'down' || peer?.state === 'wrong';
}

function sequencesOf(files: readonly { sequence?: number | undefined }[]): number[] {
  return files.map(({ sequence }) => sequence).filter((sequence) => sequence !== undefined);
}
