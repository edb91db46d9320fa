import type { Missing } from '../index/missing.js';
import { counted } from '../words.js';
import type { Follower } from './follower.js';

/** Whether this node has what its peers have. */
export class Readiness {
  /** Whether, once since the start, no file was pending that anti-entropy had found. */
  private hasNothingPending = false;

  constructor(
    private readonly followers: readonly Follower[],
    private readonly missing: Missing,
    /** In milliseconds. */
    private readonly maxLag: number,
  ) {}

  /** Why this node has not what its peers have, for people; undefined when it has. */
  get lag(): string | undefined {
    for (const { peer, caughtUp, hasCompared, backlog, id } of this.followers) {
      if (peer.state === 'unknown') return `it has not asked node ${id} yet`;
      // Nothing can be fetched from a peer that is down.
      if (!peer.isUp) continue;
      if (!caughtUp || !hasCompared) return `it has not yet had everything of node ${id} since its start`;
      if (backlog.seconds * 1000 > this.maxLag) return `it is ${Math.round(backlog.seconds)} s behind node ${id}`;
    }
    // A node alone has no peer to fetch a lost file from.
    if (!this.hasNothingPending && this.followers.length > 0) {
      const { pending } = this.missing.totals;
      if (pending > 0) return `${counted(pending, 'file')} ${pending === 1 ? 'is' : 'are'} still to be fetched`;
      this.hasNothingPending = true;
    }
    return undefined;
  }

  /** Makes the node not ready until it has compared everything with every peer again. */
  reset(): void {
    this.hasNothingPending = false;
    for (const follower of this.followers) follower.hasCompared = false;
  }
}
