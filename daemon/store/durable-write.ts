import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { Ballast } from './ballast.js';
import { BatchSync } from './batch-sync.js';
import { isFull, StoreError, storeError } from './errors.js';
import { FileSystem, type SyncMode } from './file-system.js';
import type { Checkpoint, FilePlace, Records, RemovedFile, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

/** How long a batch waits for others that are just arriving. */
const GATHER_MILLISECONDS = 8;
/** A batch of so many changes is that of a crowd, which sends as many again. */
const CROWD = 8;

/** Files that come and go together: all of them, or none. */
export interface FileChange {
  /** Writes the files that come, all or none, to the page cache; called when the batch begins. */
  write?(): StoredFile[];
  /** Removes what `write` has written, where that could not be made durable. */
  undo?(added: readonly StoredFile[]): void;
  /** Called when it is durable, before `commit` resolves. What it does is durable with the next batch only. */
  finish?(): void;
  removed?: RemovedFile[];
  /** What else is to be written down in the same transaction. */
  alongside?(): void;
}

/** A change that waits for its batch, or is in it. */
interface Change extends Required<Pick<FileChange, 'removed'>>, Omit<FileChange, 'removed'> {
  /** What `write` has written. */
  added: StoredFile[];
  resolve(added: StoredFile[]): void;
  reject(error: unknown): void;
}

/**
 * The one place where files become durable: `commit` resolves when they, their directory entries and their records are
 * on stable storage.
 *
 *   waiting changes ──> files, tombstones, records (one transaction) ──> one sync ──> copies named, ──> answered
 *                  next batch gathers meanwhile                                       deleted files unlinked
 *
 * All files of a batch are written in one go, not each between two requests: caches stay warm, and no create waits for a
 * journal that a sync is just committing (1 KB uploads: 1.1 times as many, 1.2 with `sync: off`).
 *
 * Group commit: a batch closes when the sync before it has returned, so a lone upload waits for nothing and a crowd
 * shares one sync. What fails is undone: the file removed, the record taken back, and only then the error given.
 */
export class DurableWriter {
  private waiting: Change[] = [];
  private running: Promise<void> | undefined;
  private readonly recordsFileSystem: FileSystem;
  private readonly batchSync: BatchSync;
  /** What is given up for the records of deletions when their disk is full. */
  private readonly ballast: Ballast;
  /** The batch that was synced last: its unlinks are durable only with the next sync. */
  private last: Pick<Checkpoint, 'tombstones' | 'deletions'>;
  /** Files that should be gone and could not be removed: every checkpoint names them, and the next start does it. */
  private readonly unfinished: FilePlace[] = [];
  /** While a path is missing the checkpoint stands still: that path has not been looked at since the last crash. */
  private readonly allOpen: boolean;
  private readonly unseenCopies: FilePlace[];
  /** Changes of the batch before. */
  private lastSize = 0;
  /** Whether other nodes make a batch of each batch, too: then fewer are worth a wait. */
  isCopied = false;
  /** Bookkeeping for metrics. */
  readonly totals = { batches: 0, changes: 0, syncSeconds: 0 };

  constructor(
    private readonly paths: readonly StorePath[],
    private readonly records: Records,
    mode: SyncMode,
    /** Where the next file will go, for a batch that adds none. */
    private readonly frontier: () => Pick<Checkpoint, 'second' | 'directory'>,
    private readonly warn: (message: string, error: unknown) => void,
  ) {
    this.recordsFileSystem = FileSystem.of(records.directory);
    this.batchSync = new BatchSync(paths, records, mode);
    this.ballast = Ballast.ofRecords(records.directory);
    this.keepBallast();
    this.last = { tombstones: this.tombstoneCounts(), deletions: [] };
    this.allOpen = paths.every((path) => path.isOpen);
    this.unseenCopies = records.checkpoint.copies.filter(({ storePath }) => !paths[storePath]?.isOpen);
  }

  /** Makes the ballast of the records whole again when there is room for it. To be called now and then. */
  keepBallast(): void {
    this.ballast.fill();
  }

  /** Why nothing at all can be made durable; undefined when it can. */
  get trouble(): string | undefined {
    const failure = this.recordsFileSystem.failure;
    return failure && `a sync of the data directory failed: ${failure.message}`;
  }

  /**
   * Makes the files that a change writes, and its deletions, durable together. Resolves with its files; rejects with what
   * `write` threw, or with a StoreError, and nothing is left.
   */
  commit(change: FileChange): Promise<StoredFile[]> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ removed: [], ...change, added: [], resolve, reject });
      this.running ??= this.drain();
    });
  }

  /** Resolves when nothing is under way any more. */
  private async idle(): Promise<void> {
    while (this.running) await this.running;
  }

  /** Syncs everything and records that nothing lies beyond the checkpoint. For a clean stop and after recovery. */
  async settle(): Promise<void> {
    await this.idle();
    await this.batchSync.everything();
    this.last = { tombstones: this.tombstoneCounts(), deletions: [] };
    const { second, directory } = this.frontier();
    const checkpoint = { second: second + 1, directory, ...this.last, deletions: this.unfinished, copies: [] };
    this.records.record({ added: [], removed: [], checkpoint: this.allOpen ? checkpoint : this.records.checkpoint });
    await this.batchSync.everything();
    this.records.publish();
  }

  private async drain(): Promise<void> {
    while (this.waiting.length > 0) {
      await this.gather();
      const batch = this.waiting;
      this.waiting = [];
      this.lastSize = batch.length;
      await this.commitBatch(batch);
    }
    this.running = undefined;
  }

  /**
   * Waits while more comes with each round of the event loop: what a crowd sends in answer to the last batch arrives within
   * a millisecond, and the first of it would else get a sync of its own.
   */
  private async gather(): Promise<void> {
    const patience = performance.now() + GATHER_MILLISECONDS;
    const round = this.isCopied && this.lastSize >= CROWD ? sleep : immediate;
    let seen = 0;
    while (this.waiting.length > seen && performance.now() < patience) {
      seen = this.waiting.length;
      await round(1);
    }
  }

  /** Removes a file that is not to be kept; where that fails, the next start does it. */
  discard(file: StoredFile): void {
    try {
      this.pathOf(file).discard(file.directory, file.name);
    } catch (error) {
      this.unfinished.push(toPlace(file));
      this.warn(`the file of a failed upload could not be removed; the next start does it: ${file.id}`, error);
    }
  }

  private async commitBatch(gathered: Change[]): Promise<void> {
    const before = this.tombstoneCounts();
    const recorded = this.writeDown(this.write(gathered), before);
    if (recorded.length === 0) return;
    const batch = recorded.filter((change) => this.removeForeign(change));
    const unlinked = this.last.deletions;
    this.last = { tombstones: before, deletions: deletionsOf(batch) };
    const started = process.hrtime.bigint();
    const added = batch.flatMap((change) => change.added);
    const removed = batch.flatMap((change) => change.removed);
    // The next checkpoint will not name the unlinks of the batch before any more.
    const failures = await this.batchSync.batch({ added, removed, unlinked });
    this.totals.batches++;
    this.totals.changes += batch.length;
    this.totals.syncSeconds += Number(process.hrtime.bigint() - started) / 1e9;
    this.unfinished.push(...unlinked.filter((place) => failures.has(this.pathOf(place).fileSystem)));
    for (const change of batch) {
      const failure = this.failureOf(change, failures);
      if (failure) this.fail(change, failure);
    }
    // Before anybody is answered, who may then wait for peers.
    if (!failures.has(this.recordsFileSystem)) this.records.publish();
    const durable = batch.filter((change) => !this.failureOf(change, failures));
    // Names before deletions, which may be of the same file.
    for (const change of durable) change.finish?.();
    for (const change of durable) this.complete(change);
  }

  /** Returns the changes whose files could be written; the others have been told. */
  private write(gathered: Change[]): Change[] {
    try {
      // What they look up, they look up in one transaction.
      return this.records.reading(() => gathered.filter(writeFiles));
    } catch (error) {
      for (const change of gathered) this.undo(change, storeError('look up in', this.records.directory, error));
      return [];
    }
  }

  private tombstoneCounts(): number[] {
    return this.paths.map((path) => (path.isOpen ? path.tombstones.count : 0));
  }

  private pathOf(place: FilePlace): StorePath {
    return this.paths[place.storePath] as StorePath;
  }

  /**
   * Appends the tombstones of a batch, and records it. On a full disk only its deletions, by means of the ballast. Returns
   * the changes that are written down; the others have been told.
   */
  private writeDown(batch: Change[], before: number[]): Change[] {
    const appended = this.appendTombstones(batch, before);
    if (appended.length === 0) return [];
    try {
      this.recordsFileSystem.assertSound();
      this.record(appended);
      return appended;
    } catch (error) {
      this.takeBackTombstones(before);
      const deletions = isFull(error) ? appended.filter(isDeletion) : [];
      const again = deletions.length > 0 && this.ballast.give() ? deletions : [];
      for (const change of appended)
        if (!again.includes(change)) this.undo(change, storeError('record in', this.records.directory, error));
      return this.writeDown(again, before);
    }
  }

  /** Appends the tombstones of a batch. Deletions on a path that takes none are rejected; returns the other changes. */
  private appendTombstones(batch: Change[], before: number[]): Change[] {
    for (const path of this.paths) {
      const keysOf = ({ removed }: Change) =>
        removed.filter((file) => file.storePath === path.number && !file.foreign).map((file) => file.key);
      const keys = batch.flatMap(keysOf);
      try {
        if (keys.length > 0) path.tombstones.append(keys);
      } catch (error) {
        this.takeBackTombstones(before);
        if (isFull(error) && path.ballast.give()) return this.appendTombstones(batch, before);
        const hit = batch.filter((change) => keysOf(change).length > 0);
        for (const change of hit) this.undo(change, storeError('record a deletion in', path.root, error));
        return this.appendTombstones(
          batch.filter((change) => !hit.includes(change)),
          before,
        );
      }
    }
    return batch;
  }

  private takeBackTombstones(before: number[]): void {
    for (const path of this.paths) {
      try {
        if (path.isOpen) path.tombstones.truncate(before[path.number] as number);
      } catch (error) {
        this.warn(`deletions that failed stay recorded in ${path.root}; the next start repeats them`, error);
      }
    }
  }

  /** A foreign file leaves no tombstone: its removal itself is what the sync makes durable. False when it failed. */
  private removeForeign(change: Change): boolean {
    for (const file of change.removed) {
      if (!file.foreign) continue;
      try {
        this.pathOf(file).discard(file.directory, file.name);
      } catch (error) {
        this.undo(change, storeError('remove', file.name, error));
        return false;
      }
    }
    return true;
  }

  private record(batch: Change[]): void {
    const added = batch.flatMap((change) => change.added);
    const removed = batch.flatMap((change) => change.removed);
    // IDs and directories are given out in order, so the first file of the batch is its beginning.
    const first = added.find((file) => file.accepted);
    const { second, directory } = first ? { second: first.created, directory: first.directory } : this.frontier();
    const { tombstones, deletions } = this.last;
    const copies = added.filter((file) => file.temporary !== undefined).map(toPlace);
    const checkpoint = this.allOpen
      ? { second, directory, tombstones, deletions: [...this.unfinished, ...deletions, ...deletionsOf(batch)], copies }
      : { ...this.records.checkpoint, copies: [...this.unseenCopies, ...copies] };
    const alongside = batch.flatMap((change) => change.alongside ?? []);
    this.records.record({ added, removed, alongside, checkpoint });
  }

  private failureOf(change: Change, failures: Map<FileSystem, unknown>): unknown {
    if (failures.size === 0) return undefined;
    const touched = [...change.added, ...change.removed].map((file) => this.pathOf(file).fileSystem);
    return [this.recordsFileSystem, ...touched]
      .map((one) => failures.get(one))
      .find((failure) => failure !== undefined);
  }

  private complete(change: Change): void {
    for (const file of change.removed) {
      const path = this.pathOf(file);
      try {
        path.discard(file.directory, file.name);
        // Nothing is there to be removed where the disk itself has gone.
        path.assertThere();
      } catch (error) {
        // The tombstone is durable, so the next start removes it; until then it would still be served.
        if (!file.foreign) this.unfinished.push(toPlace(file));
        change.reject(storeError('remove', file.name, error));
        return;
      }
    }
    change.resolve(change.added);
  }

  private fail(change: Change, failure: unknown): void {
    this.unfinished.push(...deletionsOf([change]));
    try {
      this.records.withdraw(change.added);
    } catch (error) {
      this.warn('the record of a failed upload could not be taken back; the next start does it', error);
    }
    this.undo(change, failure);
  }

  /** Leaves nothing of a failed change's files, then tells. */
  private undo(change: Change, failure: unknown): void {
    change.undo?.(change.added);
    change.reject(
      failure instanceof StoreError ? failure : storeError('make durable in', this.records.directory, failure),
    );
  }
}

/** False when a change's files could not be written; it has been told, and the others go on. */
function writeFiles(change: Change): boolean {
  try {
    change.added = change.write?.() ?? [];
    return true;
  } catch (error) {
    change.reject(error);
    return false;
  }
}

function isDeletion({ added, removed }: Change): boolean {
  return removed.length > 0 && added.length === 0;
}

function deletionsOf(batch: Change[]): FilePlace[] {
  const deleted = batch.flatMap(({ removed }) => removed.filter((file) => !file.foreign));
  return deleted.map(toPlace);
}

function toPlace({ storePath, directory, name }: FilePlace): FilePlace {
  return { storePath, directory, name };
}
