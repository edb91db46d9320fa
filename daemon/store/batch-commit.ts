import type { Ballast } from './ballast.js';
import type { BatchSync, SyncFailures } from './batch-sync.js';
import { type PendingChange, toLocation } from './change.js';
import type { Checkpoints, Frontier } from './checkpoints.js';
import { isFull, StoreError, storeError } from './errors.js';
import type { FileSystem } from './file-system.js';
import type { FileLocation, Records, RemovedFile } from './records.js';
import type { StorePath } from './store-path.js';

/** What all batches of a writer work with. */
export interface BatchParts {
  paths: readonly StorePath[];
  records: Records;
  recordsFileSystem: FileSystem;
  batchSync: BatchSync;
  checkpoints: Checkpoints;
  /** What is freed for the records of deletions when their disk is full. */
  ballast: Ballast;
  /** The disk of the records has no room for more of them. */
  onRecordsFull(): void;
  warn(message: string, error: unknown): void;
  /** Bookkeeping for metrics. */
  totals: { batches: number; changes: number; syncSeconds: number };
}

/**
 * The life of one batch, phase by phase:
 *
 *   write    the files that come, under names nobody knows yet; foreign files are unlinked, others to be deleted are found
 *   log      tombstones, and one transaction: records, replication log, checkpoint
 *   sync     one sync of all that was touched
 *   name     copies get their public names, deleted files are unlinked
 *   answer   everybody is told
 *
 * A change that fails leaves the batch: what it did is undone, it is told at once, and the others go on. Nothing that a
 * change's own functions throw reaches another change, or the caller of `run`.
 */
export class BatchCommit {
  /** What the sync covers of the batch before. */
  private unlinked: FileLocation[] = [];

  /** @param changes those that have not failed so far */
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
      await this.sync();
      this.name();
      this.answer();
    } catch (error) {
      // Something unforeseen: whoever has not been answered yet is told, and the next batch goes its own way.
      for (const location of this.unlinked) this.parts.checkpoints.leave(location);
      for (const change of this.changes) this.takeBack(change, error);
    }
  }

  private write(): void {
    const { records } = this.parts;
    try {
      // What they look up, they look up in one transaction.
      records.reading(() =>
        this.attemptEach((change) => {
          change.added = change.write?.() ?? [];
        }),
      );
    } catch (error) {
      for (const change of this.changes) this.fail(change, storeError('look up in', records.directory, error));
    }
    this.attemptEach((change) => this.unlinkForeign(change));
    this.locate();
  }

  /** Does something for each change; those for which it throws fail with what it threw. */
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
   * A foreign file leaves no tombstone: its removal itself is what the sync makes durable. It comes before the log, which
   * peers follow: what could not be removed here must not be removed there.
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
   * What anti-entropy finds deleted is known by its key alone. Its file may have come since, or come with this batch, which
   * is known only now: that one is unlinked.
   */
  private locate(): void {
    const isTold = ({ accepted, foreign }: RemovedFile) => !accepted && !foreign;
    if (!this.changes.some(({ removed }) => removed.some(isTold))) return;
    const coming = new Map<string, FileLocation>();
    for (const { added } of this.changes) for (const file of added) coming.set(file.key.toString('hex'), file);
    const placeOf = ({ key }: RemovedFile) => coming.get(key.toString('hex')) ?? this.parts.records.find(key);
    this.attemptEach((change) => {
      change.removed = change.removed.map((file) => {
        const location = isTold(file) ? placeOf(file) : undefined;
        return location ? { ...file, ...toLocation(location) } : file;
      });
    });
  }

  private log(): void {
    const { checkpoints } = this.parts;
    const tombstones = checkpoints.tombstoneCounts();
    const logged: PendingChange[] = [];
    this.logOf(this.changes, checkpoints.beginningOf(this.changes), logged);
    if (logged.length === 0) return;
    this.unlinked = checkpoints.advance(tombstones);
    this.count();
  }

  /** Counts this batch on the store paths that it changes, after the checkpoint that names those before it. */
  private count(): void {
    const locations = [...this.changes.flatMap(({ added, removed }) => [...added, ...removed]), ...this.unlinked];
    for (const path of new Set(locations.map((location) => this.pathOf(location)))) {
      try {
        path.batches.advance();
      } catch (error) {
        this.parts.warn(
          `the batches of ${path.root} could not be counted; that it was put back may go unnoticed`,
          error,
        );
      }
    }
  }

  /** Logs changes in one transaction. Where that fails, each half of them by itself: so only those fail that cannot be logged. */
  private logOf(changes: readonly PendingChange[], beginning: Frontier, logged: PendingChange[]): void {
    const [first] = changes;
    if (!first) return;
    const { records, recordsFileSystem, checkpoints } = this.parts;
    const before = checkpoints.tombstoneCounts();
    try {
      recordsFileSystem.assertSound();
      this.appendTombstones(changes);
      records.record({
        added: changes.flatMap(({ added }) => added),
        removed: changes.flatMap(({ removed }) => removed),
        alongside: changes.flatMap((change) => (change.alongside ? [() => change.alongside?.()] : [])),
        checkpoint: checkpoints.with(logged.length > 0 ? [...logged, ...changes] : changes, beginning),
      });
      logged.push(...changes);
    } catch (error) {
      this.takeBackTombstones(before);
      if (isFull(error)) {
        this.logOf(this.onFullDisk(changes, error), beginning, logged);
        return;
      }
      if (changes.length === 1) {
        this.fail(first, storeError('record in', records.directory, error));
        return;
      }
      const middle = changes.length >> 1;
      this.logOf(changes.slice(0, middle), beginning, logged);
      this.logOf(changes.slice(middle), beginning, logged);
    }
  }

  /** On a full disk only deletions are logged, by means of the ballast. Returns those to be tried again; the others fail. */
  private onFullDisk(changes: readonly PendingChange[], error: unknown): readonly PendingChange[] {
    const { records, ballast, onRecordsFull } = this.parts;
    onRecordsFull();
    const deletions = changes.filter(({ added, removed }) => removed.length > 0 && added.length === 0);
    const again = deletions.length > 0 && ballast.give() ? deletions : [];
    for (const change of changes) {
      if (!again.includes(change)) this.fail(change, storeError('record in', records.directory, error));
    }
    return again;
  }

  private appendTombstones(changes: readonly PendingChange[]): void {
    const removed = changes.flatMap((change) => change.removed.filter((file) => !file.foreign));
    if (removed.length === 0) return;
    for (const path of this.parts.paths) {
      const keys = removed.filter((file) => file.storePath === path.number).map((file) => file.key);
      if (keys.length === 0) continue;
      try {
        path.fileSystem.assertSound();
        appendOverBallast(path, keys);
      } catch (error) {
        throw storeError('record a deletion in', path.root, error);
      }
    }
  }

  private takeBackTombstones(before: readonly number[]): void {
    for (const path of this.parts.paths) {
      try {
        if (path.isOpen) path.tombstones.truncate(before[path.number] as number);
      } catch (error) {
        this.parts.warn(`deletions that failed stay recorded in ${path.root}; the next start repeats them`, error);
      }
    }
  }

  private async sync(): Promise<void> {
    const { records, recordsFileSystem, batchSync, checkpoints, totals } = this.parts;
    const started = performance.now();
    const failures = await batchSync.batch({
      added: this.changes.flatMap(({ added }) => added),
      removed: this.changes.flatMap(({ removed }) => removed),
      // The next checkpoint will not name them any more.
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
    if (failures.has(recordsFileSystem)) return;
    try {
      // Before anybody is answered, who may then wait for peers.
      records.publish();
    } catch (error) {
      this.parts.warn('peers could not be told what is new; they are with the next change', error);
    }
  }

  private failureOf({ added, removed }: PendingChange, failures: SyncFailures): unknown {
    if (failures.size === 0) return undefined;
    const touched = [...added, ...removed].map((file) => this.pathOf(file).fileSystem);
    return [this.parts.recordsFileSystem, ...touched]
      .map((one) => failures.get(one))
      .find((failure) => failure !== undefined);
  }

  private name(): void {
    // Names before deletions, which may be of the same file.
    for (const change of this.changes) this.attemptLate(change, () => change.finish?.());
    for (const change of this.changes) {
      for (const file of change.removed) if (!file.foreign) this.attemptLate(change, () => this.remove(file));
    }
  }

  /** What goes wrong now cannot be undone, and keeps nothing else of the change from being done. */
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
   * A logged change could not be synced. Files that came are removed again. A deletion cannot be taken back, because its
   * tombstone may be on the disk: it is finished later, by the next start at the latest, and whoever asked learns only that
   * its outcome is not known.
   */
  private takeBack(change: PendingChange, failure: unknown): void {
    const { records, checkpoints, warn } = this.parts;
    for (const file of change.removed) if (!file.foreign) checkpoints.leave(file);
    try {
      records.withdraw(change.added);
      // With copies, it may be recorded that a peer's log was followed up to here.
      if (change.added.some((file) => !file.accepted)) records.invalidateCursors();
    } catch (error) {
      warn('the record of a failed upload could not be taken back; the next start does it', error);
    }
    this.fail(
      change,
      failure instanceof StoreError ? failure : storeError('make durable in', records.directory, failure),
    );
  }

  /** Leaves nothing of a failed change's files, then tells. */
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

/** Appends tombstones, on a full disk by means of its ballast. */
function appendOverBallast(path: StorePath, keys: readonly Buffer[]): void {
  try {
    path.tombstones.append(keys);
  } catch (error) {
    if (!isFull(error) || !path.ballast.give()) throw error;
    appendOverBallast(path, keys);
  }
}
