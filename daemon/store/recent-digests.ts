import type { RunningDigest } from './running-digest.js';

/** Number of digests in memory; those of other uploads are computed again from the disk. */
const LIMIT = 4096;

/** The digests of resumable uploads between their pieces, for the uploads with the most recent pieces. */
export class RecentDigests {
  /** The oldest first. */
  private readonly digests = new Map<string, RunningDigest>();

  get(id: string): RunningDigest | undefined {
    return this.digests.get(id);
  }

  set(id: string, digest: RunningDigest): void {
    this.digests.delete(id);
    this.digests.set(id, digest);
    for (const oldest of this.digests.keys()) {
      if (this.digests.size <= LIMIT) return;
      this.digests.delete(oldest);
    }
  }

  delete(id: string): void {
    this.digests.delete(id);
  }
}
