import { statfsSync } from 'node:fs';
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { Ballast } from './ballast.js';
import { BatchCommit, type BatchParts } from './batch-commit.js';
import { BatchSync } from './batch-sync.js';
import { type Calls, realCalls } from './calls.js';
import type { FileChange, PendingChange } from './change.js';
import { Checkpoints, type Frontier } from './checkpoints.js';
import { FileSystem, type SyncMode } from './file-system.js';
import type { Records, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

/** The longest window of a group commit: how long a batch stays open for changes that are just arriving. */
const LONGEST_WINDOW_MILLISECONDS = 8;
/** Bytes that must be free before the disk of the index no longer counts as full. */
const RECORDS_ROOM = 2 ** 20;
/**
 * A batch of at least this many changes comes from many concurrent clients, which send their next requests when it is
 * answered.
 */
const MANY_CHANGES = 8;

/**
 * Group commit. All files become durable here: `commit` resolves when files, directory entries and records are on stable storage.
 *
 *   waiting changes ──> files, tombstones, records (one transaction) ──> one sync ──> copies renamed, ──> commits
 *                  the next batch collects in the meantime                            deleted files unlinked   resolve
 *
 * A batch starts when the previous one has ended. So a single upload does not wait, and concurrent uploads share one sync.
 * `BatchCommit` runs the phases of a batch.
 *
 * The files of a batch are written together, not each when its request ends: caches stay warm, and no create waits for the
 * file system's journal while a sync commits it (1.1 times as many 1 KB uploads per second, 1.2 with `sync: off`).
 */
export class DurableWriter {
  private waiting: PendingChange[] = [];
  private running: Promise<void> | undefined;
  private readonly parts: BatchParts;
  /** Number of changes of the previous batch. */
  private lastSize = 0;
  private full = false;
  /** Totals since the process started, for metrics. */
  readonly totals = { batches: 0, changes: 0, syncSeconds: 0 };

  constructor(
    paths: readonly StorePath[],
    records: Records,
    mode: SyncMode,
    /** The frontier for the checkpoint of a batch that adds no file. */
    frontier: () => Frontier,
    readonly warn: (message: string, error: unknown) => void,
    /** Whether each batch causes one on every peer, so that fewer, larger batches are worth a longer window. */
    private readonly isReplicated: () => boolean = () => false,
    calls: Calls = realCalls,
  ) {
    const { totals } = this;
    const recordsFileSystem = FileSystem.of(records.directory, calls);
    const batchSync = new BatchSync(paths, records, recordsFileSystem, mode);
    const checkpoints = new Checkpoints(paths, records, frontier);
    const ballast = Ballast.ofRecords(records.directory);
    const onRecordsFull = () => {
      this.full = true;
    };
    this.parts = { paths, records, recordsFileSystem, batchSync, checkpoints, ballast, onRecordsFull, warn, totals };
    this.refresh();
  }

  /** Updates whether the disk of the index is full, and refills its ballast. Called every second. */
  refresh(): void {
    const { records, ballast } = this.parts;
    ballast.fill();
    if (!this.full) return;
    try {
      const { bavail, bsize } = statfsSync(records.directory);
      this.full = bavail * bsize < RECORDS_ROOM;
    } catch {
      // Other calls on the failing disk report the error.
    }
  }

  /** Whether the disk of the index is full, so that only deletions can be made durable. */
  get isFull(): boolean {
    return this.full;
  }

  /** Human-readable reason why nothing can be made durable; undefined if there is none. */
  get unavailable(): string | undefined {
    const { failure } = this.parts.recordsFileSystem;
    return failure && `a sync of the data directory failed: ${failure.message}`;
  }

  /**
   * Makes the files and deletions of a change durable together. Resolves with the added files.
   *
   * Rejects with the error of `write` or with a StoreError if nothing was stored. Also rejects if an error occurred after the
   * change became durable: with the error of `finish`, or with a StoreError if a file could not be unlinked. A deletion that
   * rejects may still be completed later.
   */
  commit(change: FileChange): Promise<StoredFile[]> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ removed: [], ...change, added: [], resolve, reject });
      this.running ??= this.commitBatches();
    });
  }

  /**
   * Syncs everything and records a checkpoint that covers it. For a clean stop and after recovery. Rejects if a sync failed.
   */
  async settle(): Promise<void> {
    while (this.running) await this.running;
    const { batchSync, records, checkpoints } = this.parts;
    await batchSync.everything();
    const checkpoint = checkpoints.settled();
    records.record({ added: [], removed: [], checkpoint });
    await batchSync.everything();
    records.publish();
    this.countSettled(checkpoint.batches);
  }

  private countSettled(batches: readonly number[]): void {
    for (const path of this.parts.paths) {
      try {
        if (path.isOpen) path.batches.settle(batches[path.number] ?? 0);
      } catch (error) {
        this.warn(`the batches of ${path.root} could not be counted; a restored older copy may go undetected`, error);
      }
    }
  }

  /** Unlinks the file of a failed upload. If that fails, it is retried every second and by the next startup's recovery. */
  discard(file: StoredFile): void {
    try {
      this.parts.checkpoints.remove(file);
    } catch (error) {
      this.warn(`the file of a failed upload could not be removed yet: ${file.id}`, error);
    }
  }

  /** Retries to unlink leftovers, and makes that durable. Called every second. */
  removeLeftovers(): void {
    if (!this.parts.checkpoints.removeLeftovers()) return;
    this.commit({}).catch((error: unknown) => this.warn('the removal of a file could not be made durable yet', error));
  }

  private async commitBatches(): Promise<void> {
    while (this.waiting.length > 0) {
      await this.waitForWindow();
      const batch = this.waiting;
      this.waiting = [];
      this.lastSize = batch.length;
      await new BatchCommit(this.parts, batch).run();
    }
    this.running = undefined;
  }

  /**
   * The window of the group commit: stays open while each round of the event loop brings more changes. The next requests of
   * concurrent clients arrive within a millisecond after a batch; without a window the first of them would get a sync of its own.
   */
  private async waitForWindow(): Promise<void> {
    const deadline = performance.now() + LONGEST_WINDOW_MILLISECONDS;
    const round = this.isReplicated() && this.lastSize >= MANY_CHANGES ? sleep : immediate;
    let seen = 0;
    while (this.waiting.length > seen && performance.now() < deadline) {
      seen = this.waiting.length;
      await round(1);
    }
  }
}
