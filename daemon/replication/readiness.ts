import type { Settings } from '../config/settings.js';
import type { Missing } from '../index/missing.js';
import { counted } from '../words.js';
import type { Follower } from './follower.js';

/** Whether this node has caught up with its peers. */
export class Readiness {
  /** Whether at some time since the start no missing file was pending. */
  private hasNothingPending = false;

  constructor(
    private readonly followers: readonly Follower[],
    private readonly missing: Missing,
    /** `maxLag`: maximum age of the oldest entry of a backlog, in milliseconds. */
    private readonly settings: Pick<Settings, 'maxLag'>,
  ) {}

  /** Human-readable reason why this node has not caught up; undefined if it has. */
  get lag(): string | undefined {
    for (const { peer, isAwaited, caughtUp, hasCompared, backlog, id } of this.followers) {
      const hadAll = caughtUp && hasCompared;
      if (!hadAll && !isAwaited) continue;
      // Not after a change of its address.
      if (!hadAll && peer.state === 'unknown') return `it has not asked node ${id} yet`;
      // Nothing can be fetched from a peer that is down.
      if (!peer.isUp) continue;
      if (!hadAll) return `it has not yet had everything of node ${id} since its start`;
      if (backlog.seconds * 1000 > this.settings.maxLag)
        return `it is ${Math.round(backlog.seconds)} s behind node ${id}`;
    }
    // A node alone has no peer to fetch a lost file from.
    if (!this.hasNothingPending && this.followers.length > 0) {
      const { pending } = this.missing.totals;
      if (pending > 0) return `${counted(pending, 'file')} ${pending === 1 ? 'is' : 'are'} still to be fetched`;
      this.hasNothingPending = true;
    }
    return undefined;
  }

  /** Makes the node not ready until it has run a round of anti-entropy with every peer again. */
  reset(): void {
    this.hasNothingPending = false;
    for (const follower of this.followers) {
      follower.hasCompared = false;
      follower.isAwaited = true;
    }
  }
}
