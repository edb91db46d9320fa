import { deletionsOf, type PendingChange, toLocation } from './change.js';
import type { Checkpoint, FileLocation, Records, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

/** The second and the directory that the next new file will get. */
export type Frontier = Pick<Checkpoint, 'second' | 'directory'>;

/**
 * Makes the checkpoint of each batch. A checkpoint lists every deletion from the transaction that records it until a sync
 * has made the unlink durable, so that recovery can repeat it. A deletion whose file could not be unlinked (a leftover) stays
 * listed until that succeeds.
 */
export class Checkpoints {
  /** Number of tombstones of each store path before the batch that was synced last. */
  private tombstones: number[];
  /** Unlinked since the last sync. */
  private unsynced: FileLocation[] = [];
  /** Files that could not be unlinked yet, by location. */
  private readonly leftovers = new Map<string, FileLocation>();
  /** Entries of the last run's checkpoint for store paths that are not open in this run. Undefined if all are open. */
  private readonly unseen: Pick<Checkpoint, 'deletions' | 'copies'> | undefined;

  constructor(
    private readonly paths: readonly StorePath[],
    private readonly records: Pick<Records, 'checkpoint'>,
    private readonly frontier: () => Frontier,
  ) {
    this.tombstones = this.tombstoneCounts();
    const isUnseen = ({ storePath }: FileLocation) => !paths[storePath]?.isOpen;
    const { deletions, copies } = records.checkpoint;
    if (paths.some((path) => !path.isOpen))
      this.unseen = { deletions: deletions.filter(isUnseen), copies: copies.filter(isUnseen) };
  }

  /** Number of tombstones of each store path; 0 for one that is not open. */
  tombstoneCounts(): number[] {
    return this.paths.map((path) => (path.isOpen ? path.tombstones.count : 0));
  }

  /** Number of batches that have changed each store path; for one that is not open, the count of the last checkpoint. */
  private batchCounts(): number[] {
    const last = this.records.checkpoint.batches;
    return this.paths.map((path, number) => (path.isOpen ? path.batches.count : (last[number] ?? 0)));
  }

  /** The frontier before a batch. IDs and directories are assigned in order, so it is that of the batch's first new file. */
  beginningOf(changes: readonly PendingChange[]): Frontier {
    for (const { added } of changes) {
      // A slave has its master's second and directory, an appender and an adopted file those of their creation.
      const first = added.find(isNew);
      if (first) return { second: first.created, directory: first.directory };
    }
    return this.frontier();
  }

  /**
   * The checkpoint to be recorded with changes of a batch. Everything before the frontier at which the batch begins is
   * durable.
   */
  with(changes: readonly PendingChange[], { second, directory }: Frontier): Checkpoint {
    const deletions = [...this.leftovers.values(), ...this.unsynced, ...deletionsOf(changes)];
    const isCopy = (file: StoredFile) => file.temporary !== undefined;
    const copies = changes.flatMap(({ added }) => added.filter(isCopy).map(toCopy));
    const batches = this.batchCounts();
    return this.complete({ second, directory, tombstones: this.tombstones, deletions, copies, batches });
  }

  /**
   * To be called when a batch is recorded.
   * @param tombstones the counts before the batch
   * @returns unlinked files that the sync of this batch makes durable
   */
  advance(tombstones: number[]): FileLocation[] {
    this.tombstones = tombstones;
    const covered = this.unsynced;
    this.unsynced = [];
    return covered;
  }

  /** The checkpoint after a sync of everything: only leftovers lie beyond it. */
  settled(): Checkpoint {
    this.advance(this.tombstoneCounts());
    const { second, directory } = this.frontier();
    const deletions = [...this.leftovers.values()];
    const { tombstones } = this;
    const batches = this.batchCounts();
    return this.complete({ second: second + 1, directory, tombstones, deletions, copies: [], batches });
  }

  /** While a store path is not open the checkpoint does not advance: that path has not been recovered since the last crash. */
  private complete(checkpoint: Checkpoint): Checkpoint {
    if (!this.unseen) return checkpoint;
    const deletions = [...this.unseen.deletions, ...checkpoint.deletions];
    const copies = [...this.unseen.copies, ...checkpoint.copies];
    return { ...this.records.checkpoint, deletions, copies, batches: checkpoint.batches };
  }

  /**
   * Unlinks a file. If that fails, or the store path is not there any more, the file becomes a leftover, and the error is
   * thrown.
   */
  remove(file: FileLocation): void {
    const path = this.paths[file.storePath] as StorePath;
    try {
      path.discard(file.directory, file.name);
      // On a disk that is not mounted any more the unlink found no file and did nothing.
      path.assertThere();
      this.unsynced.push(toLocation(file));
    } catch (error) {
      this.leave(file);
      throw error;
    }
  }

  /** Records a file as a leftover: unlinking it is retried, and every checkpoint lists it until that succeeds. */
  leave(file: FileLocation): void {
    this.leftovers.set(keyOf(file), toLocation(file));
  }

  /** Retries to unlink the leftovers. Returns whether any was unlinked; the next sync makes that durable. */
  removeLeftovers(): boolean {
    const before = this.leftovers.size;
    for (const [key, file] of [...this.leftovers]) {
      this.leftovers.delete(key);
      try {
        this.remove(file);
      } catch {
        // A leftover again. The error of the first attempt has been reported.
      }
    }
    return this.leftovers.size < before;
  }
}

function toCopy(file: StoredFile): Checkpoint['copies'][number] {
  return file.accepted ? { ...toLocation(file), accepted: true } : toLocation(file);
}

function isNew({ accepted, temporary, inPlace, existed }: StoredFile): boolean {
  return accepted && temporary === undefined && !inPlace && !existed;
}

function keyOf({ storePath, directory, name }: FileLocation): string {
  return `${storePath}/${directory}/${name}`;
}
