import type { Ballast } from './ballast.js';
import type { PendingChange } from './change.js';
import type { Checkpoints, Frontier } from './checkpoints.js';
import { isFull, storeError } from './errors.js';
import type { FileSystem } from './file-system.js';
import type { Records } from './records.js';
import type { StorePath } from './store-path.js';

/** What the log phases of all batches share. */
export interface LogParts {
  paths: readonly StorePath[];
  records: Records;
  recordsFileSystem: FileSystem;
  checkpoints: Checkpoints;
  /** Freed for the records of deletions when the disk of the index is full. */
  ballast: Ballast;
  /** Called when the disk of the index is full. */
  onRecordsFull(): void;
  warn(message: string, error: unknown): void;
}

/**
 * The log phase of a batch: appends tombstones to the store paths, and writes records, replication log and checkpoint in one
 * transaction. Nothing of it is durable before the sync phase.
 */
export class BatchLog {
  /** Changes logged so far: each checkpoint lists the deletions and copies of all of them. */
  private readonly logged: PendingChange[] = [];

  /**
   * @param fail called immediately for each change that cannot be logged, before others are retried: undoing it may free space
   */
  constructor(
    private readonly parts: LogParts,
    private readonly fail: (change: PendingChange, error: unknown) => void,
  ) {}

  /** Logs the changes of a batch, and returns those that did not fail. */
  write(changes: readonly PendingChange[]): readonly PendingChange[] {
    this.logOf(changes, this.parts.checkpoints.beginningOf(changes));
    return this.logged;
  }

  /**
   * Logs changes in one transaction. If that fails, logs each half separately, so that only changes fail that cannot be
   * logged.
   */
  private logOf(changes: readonly PendingChange[], beginning: Frontier): void {
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
        checkpoint: checkpoints.with(this.logged.length > 0 ? [...this.logged, ...changes] : changes, beginning),
      });
      this.logged.push(...changes);
    } catch (error) {
      this.takeBackTombstones(before);
      if (isFull(error)) {
        this.logOf(this.onFullDisk(changes, error), beginning);
        return;
      }
      if (changes.length === 1) {
        this.fail(first, storeError('record in', records.directory, error));
        return;
      }
      const middle = changes.length >> 1;
      this.logOf(changes.slice(0, middle), beginning);
      this.logOf(changes.slice(middle), beginning);
    }
  }

  /** On a full disk only deletions are logged, in space freed from the ballast. Returns those to retry; the others fail. */
  private onFullDisk(changes: readonly PendingChange[], error: unknown): readonly PendingChange[] {
    const { records, ballast, onRecordsFull } = this.parts;
    onRecordsFull();
    const deletions = changes.filter(({ added, removed }) => removed.length > 0 && added.length === 0);
    const again = deletions.length > 0 && ballast.shrink() ? deletions : [];
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
}

/** Appends tombstones, on a full disk in space freed from its ballast. */
function appendOverBallast(path: StorePath, keys: readonly Buffer[]): void {
  try {
    path.tombstones.append(keys);
  } catch (error) {
    if (!isFull(error) || !path.ballast.shrink()) throw error;
    appendOverBallast(path, keys);
  }
}
