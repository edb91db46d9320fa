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
/** Bytes that must be free beside the records before a disk that was full counts as one with room again. */
const RECORDS_ROOM = 2 ** 20;
/** A batch of at least so many changes comes from many clients at once, whose next requests follow its answers. */
const MANY_CHANGES = 8;

/**
 * The one place where files become durable: `commit` resolves when they, their directory entries and their records are
 * on stable storage.
 *
 *   waiting changes ──> files, tombstones, records (one transaction) ──> one sync ──> copies named, ──> answered
 *                  next batch collects meanwhile                                       deleted files unlinked
 *
 * All files of a batch are written in one go, not each between two requests: caches stay warm, and no create waits for the
 * journal of the file system, which a sync is just committing (1 KB uploads: 1.1 times as many, 1.2 with `sync: off`).
 *
 * Group commit: a batch closes when the sync before it has returned, so a lone upload waits for nothing and many
 * at once share one sync. What becomes of a batch, phase by phase, is in `BatchCommit`.
 */
export class DurableWriter {
  private waiting: PendingChange[] = [];
  private running: Promise<void> | undefined;
  private readonly parts: BatchParts;
  /** Changes of the batch before. */
  private lastSize = 0;
  private full = false;
  /** Whether other nodes make a batch of each batch, too: then fewer are worth a wait. */
  isCopied = false;
  /** Bookkeeping for metrics. */
  readonly totals = { batches: 0, changes: 0, syncSeconds: 0 };

  constructor(
    paths: readonly StorePath[],
    records: Records,
    mode: SyncMode,
    /** Where the next file will go, for a batch that adds none. */
    frontier: () => Frontier,
    readonly warn: (message: string, error: unknown) => void,
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
    this.lookAtRoom();
  }

  /** Looks at the room beside the records, and makes their ballast whole again when there is enough. Called every second. */
  lookAtRoom(): void {
    const { records, ballast } = this.parts;
    ballast.fill();
    if (!this.full) return;
    try {
      const { bavail, bsize } = statfsSync(records.directory);
      this.full = bavail * bsize < RECORDS_ROOM;
    } catch {
      // The disk fails, which each call on it reports.
    }
  }

  /** Whether the disk of the records has no room, so that nothing but deletions can be made durable. */
  get isFull(): boolean {
    return this.full;
  }

  /** Why nothing at all can be made durable; undefined when it can. */
  get unavailable(): string | undefined {
    const { failure } = this.parts.recordsFileSystem;
    return failure && `a sync of the data directory failed: ${failure.message}`;
  }

  /**
   * Makes the files that a change writes, and its deletions, durable together. Resolves with its files. Rejects with what
   * `write` threw, or with a StoreError, and nothing is left; or with what went wrong when all was durable already: what
   * `finish` threw, or a StoreError where a file could not be unlinked. A deletion that rejects may still be done later.
   */
  commit(change: FileChange): Promise<StoredFile[]> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ removed: [], ...change, added: [], resolve, reject });
      this.running ??= this.commitBatches();
    });
  }

  /** Syncs everything and records that nothing lies beyond the checkpoint. For a clean stop and after recovery. */
  async settle(): Promise<void> {
    while (this.running) await this.running;
    const { batchSync, records, checkpoints } = this.parts;
    await batchSync.everything();
    records.record({ added: [], removed: [], checkpoint: checkpoints.settled() });
    await batchSync.everything();
    records.publish();
  }

  /** Removes a file that is not to be kept. Where that fails, it is tried again, by the next start at the latest. */
  discard(file: StoredFile): void {
    try {
      this.parts.checkpoints.remove(file);
    } catch (error) {
      this.warn(`the file of a failed upload could not be removed yet: ${file.id}`, error);
    }
  }

  /** Tries again to remove the files that could not be. Called every second. */
  removeLeftovers(): void {
    if (!this.parts.checkpoints.removeLeftovers()) return;
    this.commit({}).catch((error: unknown) => this.warn('that a file is removed could not be made durable yet', error));
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
   * The window of the group commit: open while more changes come with each round of the event loop. What many clients send
   * after the last batch arrives within a millisecond, and the first of it would else get a sync of its own.
   */
  private async waitForWindow(): Promise<void> {
    const patience = performance.now() + LONGEST_WINDOW_MILLISECONDS;
    const round = this.isCopied && this.lastSize >= MANY_CHANGES ? sleep : immediate;
    let seen = 0;
    while (this.waiting.length > seen && performance.now() < patience) {
      seen = this.waiting.length;
      await round(1);
    }
  }
}
