import { deletionsOf, type PendingChange, toLocation } from './change.js';
import type { Checkpoint, FileLocation, Records, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

/** Where the next file will go. */
export type Frontier = Pick<Checkpoint, 'second' | 'directory'>;

/**
 * What each checkpoint has to say. A deletion is named from the transaction that records it until a sync has covered the
 * unlink: a start after a crash does it again. One whose file could not be removed is named until it could.
 */
export class Checkpoints {
  /** Tombstones there were before the batch that was synced last. */
  private tombstones: number[];
  /** Unlinked; the next sync covers that. */
  private unsynced: FileLocation[] = [];
  /** Still to be removed, by location. */
  private readonly leftovers = new Map<string, FileLocation>();
  /** What the last run left on paths that are missing now. Undefined when all are here. */
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

  /** How many tombstones each path has. */
  tombstoneCounts(): number[] {
    return this.paths.map((path) => (path.isOpen ? path.tombstones.count : 0));
  }

  /** How many batches have changed each path; where a path is missing, what the last run knew. */
  private batchCounts(): number[] {
    const last = this.records.checkpoint.batches;
    return this.paths.map((path, number) => (path.isOpen ? path.batches.count : (last[number] ?? 0)));
  }

  /** Where a batch begins: IDs and directories are given out in order, so at its first file. */
  beginningOf(changes: readonly PendingChange[]): Frontier {
    for (const { added } of changes) {
      const first = added.find((file) => file.accepted);
      if (first) return { second: first.created, directory: first.directory };
    }
    return this.frontier();
  }

  /** The checkpoint to be recorded with changes of a batch; what lies before the beginning of the batch is durable. */
  with(changes: readonly PendingChange[], { second, directory }: Frontier): Checkpoint {
    const deletions = [...this.leftovers.values(), ...this.unsynced, ...deletionsOf(changes)];
    const isCopy = (file: StoredFile) => file.temporary !== undefined;
    const copies = changes.flatMap(({ added }) => added.filter(isCopy).map(toLocation));
    const batches = this.batchCounts();
    return this.complete({ second, directory, tombstones: this.tombstones, deletions, copies, batches });
  }

  /** The changes with so many tombstones before them are recorded. Returns the unlinks that the next sync covers. */
  advance(tombstones: number[]): FileLocation[] {
    this.tombstones = tombstones;
    const covered = this.unsynced;
    this.unsynced = [];
    return covered;
  }

  /** The checkpoint when everything has been synced: nothing but leftovers lies beyond it. */
  settled(): Checkpoint {
    this.advance(this.tombstoneCounts());
    const { second, directory } = this.frontier();
    const deletions = [...this.leftovers.values()];
    const { tombstones } = this;
    const batches = this.batchCounts();
    return this.complete({ second: second + 1, directory, tombstones, deletions, copies: [], batches });
  }

  /** While a path is missing the checkpoint stands still: that path has not been looked at since the last crash. */
  private complete(checkpoint: Checkpoint): Checkpoint {
    if (!this.unseen) return checkpoint;
    const deletions = [...this.unseen.deletions, ...checkpoint.deletions];
    const copies = [...this.unseen.copies, ...checkpoint.copies];
    return { ...this.records.checkpoint, deletions, copies, batches: checkpoint.batches };
  }

  /** Removes a file. Throws when that could not be done, or the disk has gone with it; then it is a leftover. */
  remove(file: FileLocation): void {
    const path = this.paths[file.storePath] as StorePath;
    try {
      path.discard(file.directory, file.name);
      // Nothing is there to be removed where the disk itself has gone.
      path.assertThere();
      this.unsynced.push(toLocation(file));
    } catch (error) {
      this.leave(file);
      throw error;
    }
  }

  /** A file is still to be removed: that is tried again, and every checkpoint names it until it is done. */
  leave(file: FileLocation): void {
    this.leftovers.set(keyOf(file), toLocation(file));
  }

  /** Tries again to remove what is left. Returns whether any of it is gone now; the next sync makes that durable. */
  removeLeftovers(): boolean {
    const before = this.leftovers.size;
    for (const [key, file] of [...this.leftovers]) {
      this.leftovers.delete(key);
      try {
        this.remove(file);
      } catch {
        // It is a leftover again; whoever asked for its removal was told why.
      }
    }
    return this.leftovers.size < before;
  }
}

function keyOf({ storePath, directory, name }: FileLocation): string {
  return `${storePath}/${directory}/${name}`;
}
