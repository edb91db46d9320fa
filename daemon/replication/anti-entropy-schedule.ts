import { setTimeout as sleep } from 'node:timers/promises';
import type { Alarms } from '../alarm.js';
import type { Peer } from '../cluster/cluster.js';
import type { Settings } from '../config/settings.js';
import type { ReplicationLog } from '../index/replication-log.js';
import type { AntiEntropy } from './anti-entropy.js';
import { isGone } from './copy-policy.js';
import type { Follower } from './follower.js';
import type { Readiness } from './readiness.js';

/** Delay before the round after a peer went down, and between retries, in milliseconds. */
const SETTLE_MILLISECONDS = 500;
/** Number of failed rounds in succession after which there is an alarm. Retries follow after `SETTLE_MILLISECONDS`. */
const ALARMING_FAILURES = 8;
/** Shortest time between two rounds that a peer's going down starts, in milliseconds. */
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
 * Schedules rounds of anti-entropy: with each peer after a start, as soon as it is up; with each peer every `repairInterval`;
 * and with all peers when one has gone down, or when a follower has shown that this node was restored to an older copy.
 */
export class AntiEntropySchedule {
  private readonly ending = new AbortController();
  /** The loops by follower. */
  private readonly loops = new Map<Follower, Promise<void>>();
  /** Aborted, and replaced, when rounds with all peers are due now. */
  private urgent = new AbortController();
  /** Server ids of followers that have shown that this node's log has lost entries; empty after the recovery. */
  private readonly ahead = new Set<number>();
  /** Number of rounds in succession that failed, by server id, while the peer was up. */
  private readonly failures = new Map<number, number>();
  private downTimer: NodeJS.Timeout | undefined;
  /** In milliseconds of `performance.now()`. */
  private lastDown = Number.NEGATIVE_INFINITY;

  constructor(private readonly parts: AntiEntropyScheduleParts) {}

  start(): void {
    for (const follower of this.parts.followers) this.add(follower);
  }

  /** Begins rounds with a node that has joined the group. */
  add(follower: Follower): void {
    const done = this.run(follower).finally(() => this.loops.delete(follower));
    this.loops.set(follower, done);
  }

  /**
   * Ends the rounds with a node that has left the group, and starts rounds with all others: entries of its log may have reached only
   * some of them. The follower must be stopped.
   */
  remove(follower: Follower): void {
    this.failures.delete(follower.id);
    this.parts.alarms.clear('replication', subjectOf(follower.id));
    this.endRecovery();
    this.compareWithAllNow();
  }

  async stop(): Promise<void> {
    this.ending.abort();
    this.urgent.abort();
    clearTimeout(this.downTimer);
    await Promise.all(this.loops.values());
  }

  /**
   * Schedules rounds with all peers because a peer has gone down, possibly permanently: entries of its log, such as deletions,
   * may have reached only some of the others, which are now their only source.
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
   * Starts a recovery: a follower has entries that this node's log has lost, because the data directory was restored to an
   * older copy, or a disk lost writes that it had reported as stable. Anti-entropy with each peer restores the lost files. A
   * new epoch then invalidates all earlier cursors, so each peer runs anti-entropy with this node and gets the restored
   * entries that it had not followed.
   * @param peer server id of the follower
   * @param after the sequence number of its cursor
   */
  recover(peer: number, after: number): void {
    if (this.ahead.has(peer)) return;
    this.ahead.add(peer);
    const { settings, log, alarms, readiness } = this.parts;
    const lost = `node ${peer} has followed the log of this node to entry ${after} of a history that this node has lost; the log now ends at entry ${log.published}`;
    const cause = 'the data directory was put back to an older copy, or its disk lost writes';
    alarms.raise(
      'rolled-back',
      `node ${settings.serverId}`,
      `${lost}: ${cause}; the lost entries are restored from the other nodes`,
    );
    readiness.reset();
    this.compareWithAllNow();
  }

  /** Ends a recovery after rounds with every peer that is up, and with every follower that has shown the loss. */
  private endRecovery(): void {
    const { settings, log, alarms, followers } = this.parts;
    const isOpen = ({ id, peer, hasCompared }: Follower) => !hasCompared && (!isGone(peer) || this.ahead.has(id));
    if (this.ahead.size === 0 || followers.some(isOpen)) return;
    log.beginEpoch({ continues: false });
    this.ahead.clear();
    alarms.clear('rolled-back', `node ${settings.serverId}`);
  }

  /** Makes a round due with each peer; if a peer is down, as soon as it is up. */
  private compareWithAllNow(): void {
    for (const follower of this.parts.followers) follower.isRoundDue = true;
    this.urgent.abort();
    this.urgent = new AbortController();
  }

  private async run(follower: Follower): Promise<void> {
    const { settings } = this.parts;
    while (!this.ending.signal.aborted && !follower.isStopped) {
      const { urgent } = this;
      if (follower.peer.isUp && (await this.compareWith(follower)) && this.urgent === urgent) {
        follower.hasCompared = true;
        follower.isRoundDue = false;
        this.endRecovery();
      }
      // With jitter, so that the nodes of a group do not all compare at the same time.
      const isDone = follower.hasCompared && !follower.isRoundDue;
      const pause = isDone ? settings.repairInterval * (0.9 + 0.2 * Math.random()) : SETTLE_MILLISECONDS;
      await sleep(pause, undefined, { signal: urgent.signal }).catch(() => {});
    }
  }

  private async compareWith(follower: Follower): Promise<boolean> {
    const { peer } = follower;
    try {
      await this.parts.antiEntropy.run(peer, this.ending.signal);
      this.failures.delete(peer.id);
      this.parts.alarms.clear('replication', subjectOf(peer.id));
      return true;
    } catch (error) {
      if (!this.ending.signal.aborted && !follower.isStopped) this.failed(peer, error);
      return false;
    }
  }

  private failed(peer: Peer, error: unknown): void {
    this.parts.warn('anti-entropy with a peer did not finish; it is repeated', error);
    if (!peer.isUp) return;
    const failures = (this.failures.get(peer.id) ?? 0) + 1;
    this.failures.set(peer.id, failures);
    if (failures < ALARMING_FAILURES) return;
    const detail = `anti-entropy with node ${peer.id}, which is up, fails repeatedly: ${(error as Error).message}`;
    this.parts.alarms.raise('replication', subjectOf(peer.id), detail);
  }
}

/** The subject of the alarm that rounds with a peer fail. */
function subjectOf(peer: number): string {
  return `comparison with node ${peer}`;
}
