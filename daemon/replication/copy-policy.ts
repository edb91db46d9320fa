import type { Cluster, Peer } from '../cluster/cluster.js';
import type { Settings } from '../config/settings.js';
import type { RemovedFile, StoredFile } from '../store/records.js';
import { counted } from '../words.js';
import type { Acknowledgements } from './acknowledgements.js';

/** How long a deletion waits for the acknowledgements of all reachable peers, beyond those of `copies`, in milliseconds. */
const ALL_PEERS_MILLISECONDS = 1000;

/**
 * The replication factor (the setting `copies`): whether it can be met now, and when an upload or a deletion has met it.
 */
export class CopyPolicy {
  /** Deletions that wait for acknowledgements, by their keys in hex. */
  private readonly deletions = new Map<string, Promise<void>>();

  constructor(
    private readonly settings: Pick<Settings, 'copies' | 'copyTimeout'>,
    private readonly cluster: Cluster,
    private readonly acknowledgements: Acknowledgements,
  ) {}

  /** Human-readable reason why uploads cannot get their copies now; undefined if they can. */
  get unavailable(): string | undefined {
    const { copies } = this.settings;
    const nodes = 1 + this.acknowledgements.live.length;
    return nodes < copies
      ? `${copies} copies are promised and ${counted(nodes, 'node')} ${nodes === 1 ? 'is' : 'are'} there`
      : undefined;
  }

  /** Whether enough live followers have this store path available and not full, for the replication factor. */
  canCopy(storePath: number): boolean {
    const { copies } = this.settings;
    if (copies === 1) return true;
    const followers = this.acknowledgements.live.filter((id) => {
      const { hello } = this.cluster.peer(id) ?? {};
      return !hello || (hello.well.includes(storePath) && !hello.full.includes(storePath));
    });
    return 1 + followers.length >= copies;
  }

  /**
   * Resolves with true as soon as `copies` nodes hold these files, including this one; with false after `copyTimeout` without
   * progress.
   */
  waitForAcknowledgements(files: readonly StoredFile[]): Promise<boolean> {
    const { copies, copyTimeout } = this.settings;
    if (copies === 1) return Promise.resolve(true);
    return this.acknowledgements.waitFor(sequencesOf(files), copies - 1, copyTimeout);
  }

  /** The number of nodes on which a file, or its deletion, is durable. */
  copiesOf({ sequence }: Pick<StoredFile | RemovedFile, 'sequence'>): number {
    return 1 + (sequence === undefined ? 0 : this.acknowledgements.countFor(sequence));
  }

  /**
   * Waits until the reachable peers have acknowledged a deletion, or until a timeout. Resolves with the number of nodes on
   * which the deletion is durable. The timeout for the first `copies - 1` acknowledgements is `copyTimeout`, as for an upload:
   * they keep the deletion durable if this node is destroyed.
   */
  async waitForDeletion(removed: RemovedFile): Promise<number> {
    const key = removed.key.toString('hex');
    const waiting = this.waitForPeers(removed);
    this.deletions.set(key, waiting);
    try {
      await waiting;
    } finally {
      this.deletions.delete(key);
    }
    return this.copiesOf(removed);
  }

  /** Resolves when no request waits for the acknowledgements of this deletion any more. */
  async deletionSettled(key: Buffer): Promise<void> {
    await this.deletions.get(key.toString('hex'));
  }

  private async waitForPeers(removed: RemovedFile): Promise<void> {
    const { settings, cluster, acknowledgements } = this;
    const { storePath } = removed;
    const sequences = sequencesOf([removed]);
    const reachable = cluster.group.filter((peer) => !isGone(peer));
    // A peer whose disk is unavailable cannot record the deletion.
    const able = reachable.filter(({ hello }) => hello?.well.includes(storePath) !== false).length;
    await Promise.all([
      acknowledgements.waitFor(sequences, Math.min(settings.copies - 1, able), settings.copyTimeout),
      acknowledgements.waitFor(sequences, reachable.length, ALL_PEERS_MILLISECONDS),
    ]);
  }
}

/** Whether a peer is known to be unreachable, or its settings do not match this node's. */
export function isGone(peer: Peer | undefined): boolean {
  return peer?.state === 'down' || peer?.state === 'wrong';
}

/** Sequence numbers of files or deletions in this node's log; empty if the log is not enabled. */
function sequencesOf(files: readonly (StoredFile | RemovedFile)[]): number[] {
  return files.map(({ sequence }) => sequence).filter((sequence) => sequence !== undefined);
}
