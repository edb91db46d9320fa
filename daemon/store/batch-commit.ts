import { BatchLog, type LogParts } from './batch-log.js';
import type { BatchSync, SyncFailures } from './batch-sync.js';
import { type PendingChange, toLocation } from './change.js';
import { StoreError, storeError } from './errors.js';
import { isMetadata, keyOf, metadataName } from './names.js';
import type { FileLocation, RemovedFile } from './records.js';
import type { StorePath } from './store-path.js';

/** What all batches of a writer share. */
export interface BatchParts extends LogParts {
  batchSync: BatchSync;
  /** Totals for metrics. */
  totals: { batches: number; changes: number; syncSeconds: number };
}

/**
 * Commits one batch of changes, in phases:
 *
 *   write    create new files, under names that are not public yet; unlink foreign files; locate the files to delete
 *   log      append tombstones; record files, replication log and checkpoint in one transaction
 *   sync     one sync of everything that was touched
 *   finish   rename copies to their public names; publish the new log entries to peers; unlink deleted files
 *   answer   resolve or reject the commit of each change
 *
 * A change that fails is undone, rejected immediately and removed from the batch; the others continue. An error thrown by a
 * function of one change affects neither other changes nor the caller of `run`.
 */
export class BatchCommit {
  /** Files unlinked by the previous batch, which the sync of this batch makes durable. */
  private unlinked: FileLocation[] = [];

  /** @param changes those that have not failed; shrinks */
  constructor(
    private readonly parts: BatchParts,
    private changes: readonly PendingChange[],
  ) {}

  /** Never rejects. */
  async run(): Promise<void> {
    const { totals } = this.parts;
    try {
      this.write();
      this.log();
      if (this.changes.length === 0) return;
      totals.batches++;
      totals.changes += this.changes.length;
      const failures = await this.sync();
      this.rename();
      if (!failures.has(this.parts.recordsFileSystem)) this.publish();
      this.unlink();
      this.answer();
    } catch (error) {
      // An unexpected error: reject all changes that are not settled; the next batch is not affected.
      for (const location of this.unlinked) this.parts.checkpoints.leave(location);
      for (const change of this.changes) this.takeBack(change, error);
    }
  }

  private write(): void {
    const { records } = this.parts;
    try {
      // One read transaction for the lookups of all changes.
      records.reading(() =>
        this.attemptEach((change) => {
          change.added = change.write?.() ?? [];
        }),
      );
    } catch (error) {
      for (const change of this.changes) this.fail(change, storeError('look up in', records.directory, error));
    }
    this.locate();
    this.attemptEach((change) => {
      change.removed = change.removed.flatMap((file) => [file, ...this.metadataOf(file, change)]);
    });
    this.attemptEach((change) => this.unlinkForeign(change));
  }

  /** Runs `act` for each change. A change for which it throws fails with that error. */
  private attemptEach(act: (change: PendingChange) => void): void {
    for (const change of this.changes) {
      try {
        act(change);
      } catch (error) {
        this.fail(change, error);
      }
    }
  }

  /**
   * A foreign file gets no tombstone, so the sync has to make the unlink itself durable. It is unlinked before the log phase:
   * peers repeat the deletion from the log, and must not do so if it failed on this node.
   */
  private unlinkForeign({ removed }: PendingChange): void {
    for (const file of removed) {
      if (!file.foreign) continue;
      try {
        this.pathOf(file).assertThere();
        this.pathOf(file).discard(file.directory, file.name);
      } catch (error) {
        throw storeError('remove', file.name, error);
      }
    }
  }

  /**
   * A deletion found by anti-entropy has a key but no location. Its file may have been stored since then, or be part of this
   * batch: looks up its location, so that it is unlinked.
   */
  private locate(): void {
    const isReplicated = ({ accepted, foreign }: RemovedFile) => !accepted && !foreign;
    if (!this.changes.some(({ removed }) => removed.some(isReplicated))) return;
    const coming = new Map<string, FileLocation>();
    for (const { added } of this.changes) for (const file of added) coming.set(file.key.toString('hex'), file);
    const locationOf = ({ key }: RemovedFile) => coming.get(key.toString('hex')) ?? this.parts.records.find(key);
    this.attemptEach((change) => {
      change.removed = change.removed.map((file) => {
        const location = isReplicated(file) ? locationOf(file) : undefined;
        return location ? { ...file, ...toLocation(location) } : file;
      });
    });
  }

  /** The metadata of a file to delete, which is deleted with it; empty if it has none. */
  private metadataOf(
    { storePath, directory, name, foreign, accepted }: RemovedFile,
    change: PendingChange,
  ): RemovedFile[] {
    if (isMetadata(name)) return [];
    const location = { storePath, directory, name: metadataName(name) };
    const key = keyOf(location.name);
    if (change.removed.some((other) => other.key.equals(key))) return [];
    const isComing = () => this.changes.some(({ added }) => added.some((file) => file.key.equals(key)));
    const isThere = () => this.pathOf(location).isRemovable(directory, location.name);
    return this.parts.records.find(key) || isComing() || isThere() ? [{ ...location, key, foreign, accepted }] : [];
  }

  private log(): void {
    const { checkpoints } = this.parts;
    const tombstones = checkpoints.tombstoneCounts();
    const log = new BatchLog(this.parts, (change, error) => this.fail(change, error));
    if (log.write(this.changes).length === 0) return;
    this.unlinked = checkpoints.advance(tombstones);
    this.count();
  }

  /** Advances the batch counters of the store paths that this batch changes; its checkpoint has the counts before. */
  private count(): void {
    const locations = [...this.changes.flatMap(({ added, removed }) => [...added, ...removed]), ...this.unlinked];
    for (const path of new Set(locations.map((location) => this.pathOf(location)))) {
      try {
        path.batches.advance();
      } catch (error) {
        this.parts.warn(
          `the batches of ${path.root} could not be counted; a restored older copy may go undetected`,
          error,
        );
      }
    }
  }

  private async sync(): Promise<SyncFailures> {
    const { batchSync, checkpoints, totals } = this.parts;
    const started = performance.now();
    const failures = await batchSync.batch({
      added: this.changes.flatMap(({ added }) => added),
      removed: this.changes.flatMap(({ removed }) => removed),
      // The next checkpoint does not list them any more.
      unlinked: this.unlinked,
    });
    totals.syncSeconds += (performance.now() - started) / 1000;
    for (const location of this.unlinked)
      if (failures.has(this.pathOf(location).fileSystem)) checkpoints.leave(location);
    this.unlinked = [];
    for (const change of this.changes) {
      const failure = this.failureOf(change, failures);
      if (failure !== undefined) this.takeBack(change, failure);
    }
    return failures;
  }

  /** After the renames: a page of the log has the content of a file from its final name. */
  private publish(): void {
    try {
      // Before the commits resolve: an upload then waits for acknowledgements of peers.
      this.parts.records.publish();
    } catch (error) {
      this.parts.warn('peers could not be told of new log entries; they are with the next batch', error);
    }
  }

  private failureOf({ added, removed }: PendingChange, failures: SyncFailures): unknown {
    if (failures.size === 0) return undefined;
    const touched = [...added, ...removed].map((file) => this.pathOf(file).fileSystem);
    return [this.parts.recordsFileSystem, ...touched]
      .map((one) => failures.get(one))
      .find((failure) => failure !== undefined);
  }

  private rename(): void {
    for (const change of this.changes) this.attemptLate(change, () => change.finish?.());
  }

  /** After the renames: a deletion may be of a file that was renamed. */
  private unlink(): void {
    for (const change of this.changes) {
      for (const file of change.removed) if (!file.foreign) this.attemptLate(change, () => this.remove(file));
    }
  }

  /** Runs a step of the finish phase. An error is kept for the answer; the other steps of the change are still run. */
  private attemptLate(change: PendingChange, act: () => void): void {
    try {
      act();
    } catch (error) {
      change.failure ??= error;
    }
  }

  private remove(file: FileLocation): void {
    try {
      this.parts.checkpoints.remove(file);
    } catch (error) {
      throw storeError('remove', file.name, error);
    }
  }

  private answer(): void {
    for (const { failure, added, resolve, reject } of this.changes) {
      if (failure === undefined) resolve(added);
      else reject(failure);
    }
  }

  /**
   * Undoes a logged change whose sync failed. Added files are removed. A deletion cannot be undone, because its tombstone may be
   * on the disk: it becomes a leftover, which is completed later, and the rejection means that its outcome is unknown.
   */
  private takeBack(change: PendingChange, failure: unknown): void {
    const { records, checkpoints, warn } = this.parts;
    for (const file of change.removed) if (!file.foreign) checkpoints.leave(file);
    try {
      records.withdraw(change.added);
      // The cursor in a peer's log may have been advanced in the same transaction as the copies.
      if (change.added.some((file) => !file.accepted)) records.invalidateCursors();
    } catch (error) {
      warn('the record of a failed upload could not be taken back; the next start does it', error);
    }
    this.fail(
      change,
      failure instanceof StoreError ? failure : storeError('make durable in', records.directory, failure),
    );
  }

  /** Removes a change from the batch, undoes it and rejects its commit. */
  private fail(change: PendingChange, failure: unknown): void {
    this.changes = this.changes.filter((one) => one !== change);
    try {
      change.undo?.(change.added);
    } catch (error) {
      this.parts.warn('what a failed change had written could not be removed; the next start does it', error);
    }
    change.reject(failure);
  }

  private pathOf(location: FileLocation): StorePath {
    return this.parts.paths[location.storePath] as StorePath;
  }
}
