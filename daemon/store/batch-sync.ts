import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { canSyncFileSystems } from './calls.js';
import { storeError } from './errors.js';
import type { FileSystem, SyncMode } from './file-system.js';
import { filePath } from './layout.js';
import type { FileLocation, Records, RemovedFile, StoredFile } from './records.js';
import type { StorePath } from './store-path.js';

/** What a batch changed on the disks. */
export interface Touched {
  added: StoredFile[];
  removed: readonly RemovedFile[];
  /** Files that the previous batch unlinked. */
  unlinked: readonly FileLocation[];
}

/** Sync errors by file system. */
export type SyncFailures = Map<FileSystem, unknown>;

/**
 * Brings batches to stable storage as `sync` is set: by one syncfs of each file system, by one fsync of each file, or not at
 * all.
 */
export class BatchSync {
  constructor(
    private readonly paths: readonly StorePath[],
    private readonly records: Records,
    private readonly recordsFileSystem: FileSystem,
    private readonly mode: SyncMode,
  ) {}

  /** Syncs what a batch touched, and its records. Does not reject: resolves with the file systems that failed. */
  async batch({ added, removed, unlinked }: Touched): Promise<SyncFailures> {
    if (this.mode === 'off') return new Map();
    if (this.mode === 'file') return this.files({ added, removed, unlinked });
    const touched = [...added, ...removed, ...unlinked];
    const fileSystems = new Set(touched.map((file) => (this.paths[file.storePath] as StorePath).fileSystem));
    return syncEach(fileSystems.add(this.recordsFileSystem), (fileSystem) => fileSystem.sync());
  }

  /**
   * Syncs all store paths and the index, at startup and shutdown. In both modes: recovery may have recorded files that were
   * never synced. Rejects with the first error.
   */
  async everything(): Promise<void> {
    if (this.mode === 'off') return;
    if (!canSyncFileSystems) return this.recordsFileSystem.syncDescriptors([this.records.walDescriptor]);
    const fileSystems = new Set(this.paths.filter((path) => path.isOpen).map((path) => path.fileSystem));
    const failures = await syncEach(fileSystems.add(this.recordsFileSystem), (fileSystem) => fileSystem.sync());
    for (const failure of failures.values()) throw failure;
  }

  /** `sync: file`: every file, every directory with a new or a removed entry, the tombstones, the WAL. */
  private async files({ added, removed, unlinked }: Touched): Promise<SyncFailures> {
    const descriptors = new Map<FileSystem, number[]>([[this.recordsFileSystem, [this.records.walDescriptor]]]);
    const opened: [StorePath, number][] = [];
    const failures: SyncFailures = new Map();
    for (const path of this.paths) {
      if (!path.isOpen) continue;
      const here = <File extends FileLocation>(files: readonly File[]) =>
        files.filter((file) => file.storePath === path.number);
      const location = (file: FileLocation) => filePath(path.root, file.directory, file.name);
      const written = here(added).map((file) => file.temporary ?? location(file));
      const lost = [...here(removed).filter((one) => one.foreign), ...here(unlinked)].map(location);
      const fresh = path.takeFreshDirectories();
      const names = new Set([...fresh, ...written]);
      for (const name of written) names.add(dirname(name));
      // A directory that does not exist had no entry to remove.
      for (const name of lost) if (existsSync(dirname(name))) names.add(dirname(name));
      const own = here(removed).length > 0 ? [path.tombstones.descriptor] : [];
      if (written.length + here(removed).length + lost.length > 0) own.push(path.batches.descriptor);
      try {
        for (const name of names) {
          const descriptor = path.calls.openSync(name, 'r');
          opened.push([path, descriptor]);
          own.push(descriptor);
        }
      } catch (error) {
        path.leaveFreshDirectories(fresh);
        failures.set(path.fileSystem, storeError('sync in', path.root, error));
      }
      descriptors.set(path.fileSystem, [...(descriptors.get(path.fileSystem) ?? []), ...own]);
    }
    const synced = await syncEach(descriptors.keys(), (one) => one.syncDescriptors(descriptors.get(one) ?? []));
    for (const [path, descriptor] of opened) path.calls.closeSync(descriptor);
    return new Map([...failures, ...synced]);
  }
}

async function syncEach(
  fileSystems: Iterable<FileSystem>,
  sync: (fileSystem: FileSystem) => Promise<void>,
): Promise<SyncFailures> {
  const failures: SyncFailures = new Map();
  const attempts = [...fileSystems].map((one) => sync(one).catch((error: unknown) => failures.set(one, error)));
  await Promise.all(attempts);
  return failures;
}
