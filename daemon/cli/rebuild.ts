import { renameSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fileId from '../../file-id/file-id.js';
import { groupIds, type Settings } from '../config/settings.js';
import { Index } from '../index/index.js';
import { lockDataDirectory, lockStorePath } from '../index/lock.js';
import { storePathsKnownTo } from '../index/store-paths.js';
import { FileSystem } from '../store/file-system.js';
import { ContentReader, differenceFromName } from '../store/inspect.js';
import { FILE_TIME, filePath } from '../store/layout.js';
import { MARKER_MISSING, readMarker } from '../store/marker.js';
import { foundVersion, isMetadata, keyOf, ownerOfMetadata } from '../store/names.js';
import type { RemovedFile, StoredFile } from '../store/records.js';
import { isDeletedFile } from '../store/recover-file.js';
import { sweepTemporaries } from '../store/recovery.js';
import { StorePath } from '../store/store-path.js';
import { directoriesOf, type FoundFile, filesIn, tellsContent } from '../store/walk.js';
import { CommandFailed, UsedWrongly } from './errors.js';
import { stopLeftOverDaemon } from './left-over-daemon.js';
import { formatBytes, progressBar } from './output.js';
import { enterDataDirectory } from './owner.js';

/** Files per transaction. */
const BATCH = 1000;

/** What `fidfs rebuild` did. */
export interface RebuildReport {
  files: number;
  bytes: number;
  tombstones: number;
  /** Files that were not created by this group: served, but without a record. */
  foreign: number;
  /** Paths of corrupt files moved to quarantine. */
  quarantined: string[];
  /** IDs of files whose key another file already has; left where they are. */
  duplicates: string[];
}

/**
 * Rebuilds the index from the store paths: the tombstones first, then every file, which is read and compared with its name.
 * The old index is replaced only at the end. The node must be stopped. Rejects with CommandFailed or UsedWrongly.
 * @param newDisks store paths that may be new and empty; any other store path without a marker is taken for an unmounted disk
 */
export async function rebuild(settings: Settings, newDisks: readonly string[] = []): Promise<RebuildReport> {
  if (settings.readOnly) throw new UsedWrongly('readOnly is set: rebuild would write into the store paths');
  enterDataDirectory(settings);
  await stopLeftOverDaemon(settings.data);
  const unlock = lockDataDirectory(settings.data);
  try {
    const database = join(settings.data, 'index.db');
    assertThere(settings, storePathsKnownTo(database), newDisks);
    const fresh = `${database}.new`;
    for (const suffix of ['', '-wal', '-shm']) rmSync(fresh + suffix, { force: true });
    const index = new Index(fresh);
    const paths = settings.storePaths.map((root, number) => openPath(settings, index, root, number));
    const rebuilder = new Rebuilder(settings, paths, index);
    await rebuilder.run();
    await index.close();
    for (const suffix of ['-wal', '-shm']) rmSync(database + suffix, { force: true });
    renameSync(fresh, database);
    for (const path of paths) await path.fileSystem.sync();
    await FileSystem.of(settings.data).sync();
    return rebuilder.report;
  } finally {
    unlock();
  }
}

/**
 * Throws CommandFailed, before anything is changed, for a store path that may be an empty mount point: it has no marker, and
 * the old index has a record of it or it has no files. A store path without a marker that has files and is unknown to the
 * index is accepted; FastDFS may have filled it.
 */
function assertThere(settings: Settings, known: ReadonlySet<number>, newDisks: readonly string[]): void {
  const { storePaths, reserve } = settings;
  const expected = new Set(newDisks.map((directory) => resolve(directory)));
  for (const directory of expected) {
    if (!storePaths.includes(directory)) throw new UsedWrongly(`${directory} is not one of storePaths`);
  }
  for (const [number, root] of storePaths.entries()) {
    if (readMarker(root) !== undefined || expected.has(root)) continue;
    if (!known.has(number) && holdsFiles(new StorePath(number, root, reserve))) continue;
    throw new CommandFailed(
      `the store path ${root}: ${MARKER_MISSING} If it is new and empty, say so: fidfs rebuild --new-disk ${root}`,
    );
  }
}

function holdsFiles(path: StorePath): boolean {
  for (const directory of directoriesOf(path)) if (filesIn(path, directory, new Set()).length > 0) return true;
  return false;
}

function openPath(settings: Settings, index: Index, root: string, number: number): StorePath {
  const path = new StorePath(number, root, settings.reserve);
  index.storePaths.remember(number, path.open(readMarker(root), root, lockStorePath), root);
  return path;
}

class Rebuilder {
  readonly report: RebuildReport = {
    ...{ files: 0, bytes: 0, tombstones: 0, foreign: 0 },
    ...{ quarantined: [], duplicates: [] },
  };
  private batch = new Map<string, StoredFile>();
  private newest: StoredFile | undefined;
  private readonly reader = new ContentReader();
  /** Inodes with several links that were found before. */
  private readonly inodes = new Set<string>();

  constructor(
    private readonly settings: Settings,
    private readonly paths: StorePath[],
    private readonly index: Index,
  ) {}

  async run(): Promise<void> {
    for (const path of this.paths) {
      this.readTombstones(path);
      // Copies may have been acknowledged before their rename; these are kept.
      await sweepTemporaries(path, {
        isCopy: ({ directory, name, temporary, content, sha256 }) => {
          if (isDeletedFile(name, this.index) || !isNewer(temporary, filePath(path.root, directory, name)))
            return false;
          return sha256 ? content.sha256?.equals(sha256) === true : differenceFromName(name, content) === undefined;
        },
        // Their records were in the old index.
        isResumable: () => false,
      });
    }
    const directories = this.paths.flatMap((path) =>
      [...directoriesOf(path)].map((directory) => ({ path, directory })),
    );
    const bar = progressBar('{bar} {percentage}% | files: {files}, {size}', directories.length);
    const ids = groupIds(this.settings);
    for (const { path, directory } of directories) {
      for (const file of filesIn(path, directory, ids)) await this.take(path, file);
      bar?.increment(1, { files: this.report.files, size: formatBytes(this.report.bytes) });
    }
    bar?.stop();
    this.flush();
    const tombstones = this.paths.map((path) => path.tombstones.count);
    const second = this.index.lastSecond(this.settings.serverId) + 1;
    const batches = this.paths.map((path) => path.batches.count);
    const { directory } = this.newest ?? { directory: 0 };
    const checkpoint = { second, directory, tombstones, deletions: [], copies: [], batches };
    this.index.record({ added: [], removed: [], checkpoint });
  }

  private readTombstones(path: StorePath): void {
    let removed: RemovedFile[] = [];
    const record = () => {
      this.index.record({ added: [], removed, checkpoint: this.index.checkpoint });
      removed = [];
    };
    for (const key of path.tombstones.read()) {
      removed.push({ key, storePath: path.number, directory: 0, name: '', foreign: false, accepted: false });
      this.report.tombstones++;
      if (removed.length === BATCH) record();
    }
    record();
  }

  private async take(path: StorePath, file: FoundFile): Promise<void> {
    if (isDeletedFile(file.name, this.index)) {
      path.discard(file.directory, file.name);
      return;
    }
    if (!file.ours && !wasRecorded(path, file)) {
      if (!isMetadata(file.name)) this.report.foreign++;
      return;
    }
    const { group } = this.settings;
    const key = keyOf(file.name);
    const id = fileId.join(group, path.number, file.directory, file.name);
    const fullPath = filePath(path.root, file.directory, file.name);
    const content = await this.reader.read(fullPath);
    const isOther = differenceFromName(file.name, content) !== undefined;
    if (isOther && tellsContent(file)) {
      // The content of a link of FastDFS is not that of its name.
      if (!file.ours) {
        this.report.foreign++;
        return;
      }
      this.report.quarantined.push(path.quarantine(file.directory, file.name));
      return;
    }
    if (this.batch.has(key.toString('hex')) || this.index.find(key)) {
      this.report.duplicates.push(id);
      return;
    }
    const { storePath, directory, name } = file;
    const { size, crc32 } = content;
    const version = isOther ? 0 : foundVersion(name, statSync(fullPath).mtimeMs);
    const created = fileId.createdOf(name);
    const sha256 = content.sha256 as Buffer;
    const linked = !version && this.isLink(fullPath);
    const place = { id, key, storePath, directory, name };
    const stored = { ...place, size, crc32, sha256, version, created, accepted: false, linked };
    this.batch.set(key.toString('hex'), stored);
    if (!this.newest || Buffer.compare(key, this.newest.key) > 0) this.newest = stored;
    this.report.files++;
    this.report.bytes += size;
    if (this.batch.size === BATCH) this.flush();
  }

  /** Whether the file is a hard link to one found before. */
  private isLink(fullPath: string): boolean {
    const { dev, ino, nlink } = statSync(fullPath);
    if (nlink === 1) return false;
    const file = `${dev} ${ino}`;
    if (this.inodes.has(file)) return true;
    this.inodes.add(file);
    return false;
  }

  private flush(): void {
    this.index.record({ added: [...this.batch.values()], removed: [], checkpoint: this.index.checkpoint });
    this.batch = new Map();
  }
}

/**
 * Whether a file of another source had a record: it came from a node that has left the group, or was adopted from FastDFS. Such
 * files have the fixed file time; metadata has the time of its version, and counts with its file.
 */
function wasRecorded(path: StorePath, { directory, name }: FoundFile): boolean {
  const owner = isMetadata(name) ? ownerOfMetadata(name) : name;
  const found = statSync(filePath(path.root, directory, owner), { throwIfNoEntry: false });
  return found?.mtimeMs === FILE_TIME * 1000;
}

/** Whether a temporary file may replace what has its final name: nothing, or an earlier version. */
function isNewer(temporary: string, final: string): boolean {
  const existing = statSync(final, { throwIfNoEntry: false });
  return existing === undefined || statSync(temporary).mtimeMs > existing.mtimeMs;
}
