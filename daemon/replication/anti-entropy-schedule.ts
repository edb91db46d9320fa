import { setTimeout as sleep } from 'node:timers/promises';
import type { Alarms } from '../alarm.js';
import type { Settings } from '../config/settings.js';
import type { ReplicationLog } from '../index/replication-log.js';
import type { AntiEntropy } from './anti-entropy.js';
import { isGone } from './copy-policy.js';
import type { Follower } from './follower.js';
import type { Readiness } from './readiness.js';

/** A peer that is down may be back within this, in milliseconds. */
const SETTLE_MILLISECONDS = 500;
/** A peer that goes down and comes back repeatedly starts no more than one round of anti-entropy in this time, in milliseconds. */
const DOWN_PAUSE_MILLISECONDS = 30_000;

export interface AntiEntropyScheduleParts {
  settings: Pick<Settings, 'serverId' | 'repairInterval'>;
  log: ReplicationLog;
  alarms: Alarms;
  antiEntropy: AntiEntropy;
  followers: readonly Follower[];
  readiness: Readiness;
  info(progress: object, message: string): void;
  warn(message: string, error: unknown): void;
}

/**
 * When rounds of anti-entropy run: one with each peer as soon as it is up after a start, one with each when another peer has
 * gone down, one each `repairInterval`, and all of them when a follower has shown that this node was put back to an older copy.
 */
export class AntiEntropySchedule {
  private readonly ending = new AbortController();
  private running: Promise<unknown> = Promise.resolve();
  /** Aborted, and replaced, when rounds with all peers are due now. */
  private urgent = new AbortController();
  /** Followers that have shown that this node's log has lost entries; empty when all has been compared since. */
  private readonly ahead = new Set<number>();
  private downTimer: NodeJS.Timeout | undefined;
  /** In milliseconds of `performance.now()`. */
  private lastDown = Number.NEGATIVE_INFINITY;

  constructor(private readonly parts: AntiEntropyScheduleParts) {}

  start(): void {
    this.running = Promise.all(this.parts.followers.map((follower) => this.run(follower)));
  }

  async stop(): Promise<void> {
    this.ending.abort();
    this.urgent.abort();
    clearTimeout(this.downTimer);
    await this.running;
  }

  /**
   * A peer has gone down, maybe for good: entries of its log that only some of the others have followed (a deletion above all)
   * can now be had from those only.
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
   * that was put back), or a disk lost writes that it had reported as stable. What was lost comes back from the peers, by
   * anti-entropy with each; then a new epoch, in which no earlier cursor is valid, makes each of them compare with this node,
   * so that those get it, too, that had not yet followed the lost entries.
   */
  recover(peer: number, after: number): void {
    if (this.ahead.has(peer)) return;
    this.ahead.add(peer);
    const { settings, log, alarms, readiness } = this.parts;
    const lost = `node ${peer} has followed the log of this node to entry ${after}, which is at ${log.published} and does not know that any more`;
    const cause = 'the data directory was put back to an older copy, or its disk lost writes';
    alarms.raise(
      'rolled-back',
      `node ${settings.serverId}`,
      `${lost}: ${cause}; what is lost is had from the other nodes`,
    );
    readiness.reset();
    this.compareWithAllNow();
  }

  /** Ends a recovery when everything has been compared with every peer that is up, and with those that are ahead. */
  private endRecovery(): void {
    const { settings, log, alarms, followers } = this.parts;
    const isOpen = ({ id, peer, hasCompared }: Follower) => !hasCompared && (!isGone(peer) || this.ahead.has(id));
    if (this.ahead.size === 0 || followers.some(isOpen)) return;
    log.beginEpoch({ continues: false });
    this.ahead.clear();
    alarms.clear('rolled-back', `node ${settings.serverId}`);
  }

  /** A round whose peer is down stays due until the peer is up. */
  private compareWithAllNow(): void {
    for (const follower of this.parts.followers) follower.isRoundDue = true;
    this.urgent.abort();
    this.urgent = new AbortController();
  }

  private async run(follower: Follower): Promise<void> {
    const { repairInterval } = this.parts.settings;
    const { signal } = this.ending;
    while (!signal.aborted) {
      const { urgent } = this;
      if (follower.peer.isUp && (await this.compareWith(follower)) && this.urgent === urgent) {
        follower.hasCompared = true;
        follower.isRoundDue = false;
        this.endRecovery();
      }
      // With jitter, so that the nodes of a group do not all compare at the same time.
      const isDone = follower.hasCompared && !follower.isRoundDue;
      const pause = isDone ? repairInterval * (0.9 + 0.2 * Math.random()) : SETTLE_MILLISECONDS;
      await sleep(pause, undefined, { signal: urgent.signal }).catch(() => {});
    }
  }

  private async compareWith({ peer }: Follower): Promise<boolean> {
    try {
      await this.parts.antiEntropy.run(peer, this.ending.signal);
      return true;
    } catch (error) {
      if (!this.ending.signal.aborted)
        this.parts.warn('anti-entropy with a peer did not finish; it is repeated', error);
      return false;
    }
  }
}
