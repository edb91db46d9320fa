import { closeSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { StoreError, storeError } from './errors.js';
import { FileSystem, type SyncMode } from './file-system.js';
import { filePath } from './layout.js';
import type { Checkpoint, FilePlace, Records, RemovedFile, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

/** Files that come and go together: all of them, or none. */
interface Change {
  added: StoredFile[];
  removed: RemovedFile[];
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * The one place where files become durable. Added files are already written (to the page cache) when they get here;
 * `commit` resolves when they, their directory entries and their records are on stable storage.
 *
 *   waiting changes ──> tombstones, records (one transaction) ──> one sync ──> deleted files unlinked ──> answered
 *                  next batch gathers meanwhile
 *
 * Group commit: a batch closes when the sync before it has returned, so a lone upload waits for nothing and a crowd
 * shares one sync. What fails is undone: the file removed, the record taken back, and only then the error given.
 */
export class DurableWriter {
  private waiting: Change[] = [];
  private running: Promise<void> | undefined;
  private readonly recordsFileSystem: FileSystem;
  /** The batch that was synced last: its unlinks are durable only with the next sync. */
  private last: Pick<Checkpoint, 'tombstones' | 'deletions'>;
  /** While a path is missing the checkpoint stands still: that path has not been looked at since the last crash. */
  private readonly allOpen: boolean;
  /** Bookkeeping for metrics. */
  readonly totals = { batches: 0, changes: 0, syncSeconds: 0 };

  constructor(
    private readonly paths: readonly StorePath[],
    private readonly records: Records,
    private readonly mode: SyncMode,
    /** Where the next file will go, for a batch that adds none. */
    private readonly frontier: () => Pick<Checkpoint, 'second' | 'directory'>,
    private readonly warn: (message: string, error: unknown) => void,
  ) {
    this.recordsFileSystem = FileSystem.of(records.directory);
    this.last = { tombstones: this.tombstoneCounts(), deletions: [] };
    this.allOpen = paths.every((path) => path.isOpen);
  }

  /** Why nothing at all can be made durable; undefined when it can. */
  get trouble(): string | undefined {
    const failure = this.recordsFileSystem.failure;
    return failure && `a sync of the data directory failed: ${failure.message}`;
  }

  /** Makes files that are written, and deletions that are wanted, durable together. Rejects with a StoreError. */
  commit(added: StoredFile[], removed: RemovedFile[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ added, removed, resolve, reject });
      // After the current round of the event loop: what arrived in the same round shares the batch.
      this.running ??= new Promise((done) => setImmediate(() => done(this.drain())));
    });
  }

  /** Resolves when nothing is under way any more. */
  async idle(): Promise<void> {
    while (this.running) await this.running;
  }

  /** Syncs everything and records that nothing lies beyond the checkpoint. For a clean stop and after recovery. */
  async settle(): Promise<void> {
    await this.idle();
    const open = this.paths.filter((path) => path.isOpen);
    await this.syncAll([...open.map((path) => path.fileSystem), this.recordsFileSystem]);
    this.last = { tombstones: this.tombstoneCounts(), deletions: [] };
    const { second, directory } = this.frontier();
    const checkpoint = { second: second + 1, directory, ...this.last };
    this.records.record({ added: [], removed: [], checkpoint: this.allOpen ? checkpoint : this.records.checkpoint });
    await this.syncAll([this.recordsFileSystem]);
  }

  private async drain(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting;
      this.waiting = [];
      await this.commitBatch(batch);
    }
    this.running = undefined;
  }

  private async commitBatch(batch: Change[]): Promise<void> {
    const before = this.tombstoneCounts();
    try {
      this.recordsFileSystem.assertSound();
      this.appendTombstones(batch);
      this.record(batch);
    } catch (error) {
      for (const path of this.paths) if (path.isOpen) path.tombstones.truncate(before[path.number] as number);
      for (const change of batch) this.undo(change, storeError('record in', this.records.directory, error));
      return;
    }
    this.last = { tombstones: before, deletions: deletionsOf(batch) };
    const started = process.hrtime.bigint();
    const failures = await this.sync(batch);
    this.totals.batches++;
    this.totals.changes += batch.length;
    this.totals.syncSeconds += Number(process.hrtime.bigint() - started) / 1e9;
    for (const change of batch) {
      const failure = this.failureOf(change, failures);
      if (failure) this.fail(change, failure);
      else this.complete(change);
    }
  }

  private tombstoneCounts(): number[] {
    return this.paths.map((path) => (path.isOpen ? path.tombstones.count : 0));
  }

  private pathOf(place: FilePlace): StorePath {
    return this.paths[place.storePath] as StorePath;
  }

  private appendTombstones(batch: Change[]): void {
    for (const path of this.paths) {
      const keys = batch.flatMap(({ removed }) =>
        removed.filter((file) => file.storePath === path.number && !file.foreign).map((file) => file.key),
      );
      if (keys.length > 0) path.tombstones.append(keys);
    }
    for (const { removed } of batch) {
      // A foreign file leaves no tombstone: its removal itself is what the sync makes durable.
      for (const file of removed) if (file.foreign) this.pathOf(file).discard(file.directory, file.name);
    }
  }

  private record(batch: Change[]): void {
    const added = batch.flatMap((change) => change.added);
    const removed = batch.flatMap((change) => change.removed.filter((file) => !file.foreign));
    // IDs and directories are given out in order, so the first file of the batch is its beginning.
    const { second, directory } = added[0]
      ? { second: added[0].created, directory: added[0].directory }
      : this.frontier();
    const { tombstones, deletions } = this.last;
    const checkpoint = { second, directory, tombstones, deletions: [...deletions, ...deletionsOf(batch)] };
    this.records.record({ added, removed, checkpoint: this.allOpen ? checkpoint : this.records.checkpoint });
  }

  /** Syncs what a batch touched. Returns what failed, by file system. */
  private async sync(batch: Change[]): Promise<Map<FileSystem, unknown>> {
    if (this.mode === 'off') return new Map();
    if (this.mode === 'file') return this.syncFiles(batch);
    const touched = batch.flatMap((change) => [...change.added, ...change.removed]);
    const fileSystems = new Set(touched.map((file) => this.pathOf(file).fileSystem));
    return this.syncEach([...fileSystems.add(this.recordsFileSystem)], (fileSystem) => fileSystem.sync());
  }

  private async syncAll(fileSystems: FileSystem[]): Promise<void> {
    if (this.mode === 'off') return;
    if (this.mode === 'file') return this.recordsFileSystem.syncDescriptors([this.records.journalDescriptor]);
    const failures = await this.syncEach([...new Set(fileSystems)], (fileSystem) => fileSystem.sync());
    for (const failure of failures.values()) throw failure;
  }

  private async syncEach(
    fileSystems: FileSystem[],
    sync: (fileSystem: FileSystem) => Promise<void>,
  ): Promise<Map<FileSystem, unknown>> {
    const failures = new Map<FileSystem, unknown>();
    const attempts = fileSystems.map((one) => sync(one).catch((error: unknown) => failures.set(one, error)));
    await Promise.all(attempts);
    return failures;
  }

  /** `sync: file`: every file, every directory with a new or a lost entry, the tombstones, the journal. */
  private async syncFiles(batch: Change[]): Promise<Map<FileSystem, unknown>> {
    const descriptors = new Map<FileSystem, number[]>([[this.recordsFileSystem, [this.records.journalDescriptor]]]);
    const opened: number[] = [];
    const failures = new Map<FileSystem, unknown>();
    for (const path of this.paths) {
      if (!path.isOpen) continue;
      const added = batch.flatMap((change) => change.added.filter((file) => file.storePath === path.number));
      const removed = batch.flatMap((change) => change.removed.filter((file) => file.storePath === path.number));
      const names = new Set([...path.takeFreshDirectories(), ...added.map((file) => placeOf(path, file))]);
      for (const file of [...added, ...removed.filter((one) => one.foreign)]) names.add(dirname(placeOf(path, file)));
      const own = removed.length > 0 ? [path.tombstones.descriptor] : [];
      try {
        for (const name of names) {
          const descriptor = openSync(name, 'r');
          opened.push(descriptor);
          own.push(descriptor);
        }
      } catch (error) {
        failures.set(path.fileSystem, storeError('sync in', path.root, error));
      }
      descriptors.set(path.fileSystem, [...(descriptors.get(path.fileSystem) ?? []), ...own]);
    }
    const synced = await this.syncEach([...descriptors.keys()], (one) =>
      one.syncDescriptors(descriptors.get(one) ?? []),
    );
    for (const descriptor of opened) closeSync(descriptor);
    return new Map([...failures, ...synced]);
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
      try {
        this.pathOf(file).discard(file.directory, file.name);
      } catch (error) {
        // The tombstone is durable, so the next start removes it; until then it would still be served.
        change.reject(storeError('remove', file.name, error));
        return;
      }
    }
    change.resolve();
  }

  private fail(change: Change, failure: unknown): void {
    try {
      this.records.withdraw(change.added);
    } catch (error) {
      this.warn('the record of a failed upload could not be taken back; the next start does it', error);
    }
    this.undo(change, failure);
  }

  /** Leaves nothing of a failed change's files, then tells. */
  private undo(change: Change, failure: unknown): void {
    for (const file of change.added) {
      try {
        this.pathOf(file).discard(file.directory, file.name);
      } catch (error) {
        this.warn(`the file of a failed upload could not be removed: ${file.id}`, error);
      }
    }
    change.reject(
      failure instanceof StoreError ? failure : storeError('make durable in', this.records.directory, failure),
    );
  }
}

function deletionsOf(batch: Change[]): FilePlace[] {
  const deleted = batch.flatMap(({ removed }) => removed.filter((file) => !file.foreign));
  return deleted.map(({ storePath, directory, name }) => ({ storePath, directory, name }));
}

function placeOf(path: StorePath, file: FilePlace): string {
  return filePath(path.root, file.directory, file.name);
}
