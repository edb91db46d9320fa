import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Alarms } from '../alarm.js';
import type { Settings } from '../config/settings.js';
import type { Index } from '../index/index.js';
import { isNotFound } from '../store/errors.js';
import { ContentReader, differenceFrom, differenceFromName, readContent } from '../store/inspect.js';
import { FILE_TIME, filePath } from '../store/layout.js';
import { foundVersion, hasOwnKey, isMetadata, isMutable, keyOf } from '../store/names.js';
import type { FileRecord } from '../store/records.js';
import { isDeletedFile } from '../store/recover-file.js';
import type { Store } from '../store/store.js';
import type { StorePath } from '../store/store-path.js';
import { directoriesOf, type FoundFile, filesAndLinksIn, tellsContent } from '../store/walk.js';
import type { Fetcher } from './fetcher.js';
import { RateLimit } from './rate-limit.js';

const DAY_SECONDS = 86_400;
/**
 * Fractions of `scrubDays` after which a round begins, and that it takes. Their sum is below 1, so that every file is read once
 * in `scrubDays`, also one created just after a round has passed its position.
 */
const ROUNDS_BEGIN = 0.5;
const ROUNDS_TAKE = 0.4;
/** Cost of looking up and opening a file, as a number of bytes read. */
const FILE_COST = 16 * 1024;
/** Number of records per query; the position is saved after each query. */
const RECORDS_AT_ONCE = 100;
/** How often the scrub checks whether a round is due. */
const LOOK_MILLISECONDS = 60_000;

const NO_PEER = 'there is no other node to fetch it from';

export interface ScrubParts {
  /** `scrubDays`: every file is read within this many days; 0 disables the scrub. */
  settings: Pick<Settings, 'scrubDays'>;
  /** The server ids of this group. */
  ids: ReadonlySet<number>;
  /** Whether there is no other node of the group to fetch a file from. */
  isAlone(): boolean;
  store: Store;
  index: Index;
  fetcher: Fetcher;
  alarms: Alarms;
  warn(message: string, error: unknown): void;
}

/** Progress of a round. */
export interface ScrubProgress {
  files: number;
  of: number;
  bytes: number;
  /** Number of corrupt and missing files; those with a record are fetched again. */
  bad: number;
  /** Number of files without a record that were added to the index. */
  found: number;
}

/**
 * Reads every file and compares it with its ID and its SHA-256, evenly distributed over `scrubDays`. A round first reads all
 * files with a record, then searches the directories for files without one.
 */
export class Scrub {
  private readonly ending = new AbortController();
  private running: Promise<void> = Promise.resolve();
  private hurry: (() => void) | undefined;
  private urgent = false;
  /** Subjects of the alarms of files without a record that the last search of the directories found corrupt. */
  private readonly badUnknown = new Set<string>();
  /** The current round; undefined between rounds. */
  progress: ScrubProgress | undefined;
  /** The last round that was completed since the start. */
  last: ScrubProgress | undefined;
  /** Human-readable reason why the last round was not completed; undefined if it was. */
  failure: string | undefined;

  constructor(private readonly parts: ScrubParts) {}

  start(): void {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.ending.abort();
    this.hurry?.();
    await this.running;
  }

  /** Begins a new round immediately, without a rate limit. */
  now(): void {
    this.urgent = true;
    this.last = undefined;
    this.failure = undefined;
    const { before } = this.parts.index.scrub;
    this.parts.index.scrub = { position: Buffer.alloc(0), started: null, before };
    this.hurry?.();
  }

  /** Every file was checked after this time, in seconds since 1970. */
  get oldest(): number {
    return this.parts.index.scrub.before;
  }

  private async run(): Promise<void> {
    // Without this check, damage of the index shows only when a damaged page is read.
    await this.parts.index.check().catch((error) => this.parts.warn('the check of the index failed', error));
    while (!this.ending.signal.aborted) {
      try {
        if (this.isDue()) await this.round();
      } catch (error) {
        this.failure = (error as Error).message;
        if (!this.ending.signal.aborted) this.parts.warn('the scrub was interrupted; it continues later', error);
      }
      if (!this.urgent) await this.pause(LOOK_MILLISECONDS);
    }
  }

  private isDue(): boolean {
    if (this.urgent) return true;
    if (this.parts.settings.scrubDays === 0) return false;
    const { started, before } = this.parts.index.scrub;
    // The absolute difference: if the clock was wrong, the last round may have begun in the future.
    return (
      started !== null ||
      Math.abs(Date.now() / 1000 - before) >= this.parts.settings.scrubDays * DAY_SECONDS * ROUNDS_BEGIN
    );
  }

  private async pause(milliseconds: number): Promise<void> {
    const hurry = new AbortController();
    this.hurry = () => hurry.abort();
    const { signal } = hurry;
    if (!this.urgent && !this.ending.signal.aborted) await sleep(milliseconds, undefined, { signal }).catch(() => {});
    this.hurry = undefined;
  }

  private async round(): Promise<void> {
    const { index, settings } = this.parts;
    const days = settings.scrubDays;
    const urgent = this.urgent;
    this.urgent = false;
    await index.check();
    const started = index.scrub.started ?? Math.floor(Date.now() / 1000);
    const { files, bytes } = index.totals;
    const progress = { files: 0, of: files, bytes: 0, bad: 0, found: 0 };
    this.progress = progress;
    const cost = (bytes + files * FILE_COST) / (Math.max(days, 0.001) * DAY_SECONDS * ROUNDS_TAKE);
    const reader = new ContentReader();
    const limit = urgent ? undefined : new RateLimit(Math.max(cost, FILE_COST));
    try {
      let { position } = index.scrub;
      for (;;) {
        const records = index.after(position, RECORDS_AT_ONCE);
        const last = records.at(-1);
        if (!last) break;
        for (const record of records) {
          if (this.urgent && !urgent) return; // `now` has started another round
          await this.check(record, progress, limit, reader);
        }
        position = last.key;
        index.scrub = { ...index.scrub, position, started };
      }
      await this.searchDirectories(progress, limit);
      index.scrub = { position: Buffer.alloc(0), started: null, before: started };
      this.last = progress;
      this.failure = undefined;
    } finally {
      this.progress = undefined;
    }
  }

  /** Checks a file with a record. */
  private async check(
    record: FileRecord,
    progress: ScrubProgress,
    limit: RateLimit | undefined,
    reader: ContentReader,
  ): Promise<void> {
    const { store } = this.parts;
    const path = store.paths[record.storePath];
    progress.files++;
    // Files of an unavailable store path are not missing.
    if (!path?.isOpen || path.unavailable !== undefined) return;
    const { size } = record;
    await limit?.take(size + FILE_COST, this.ending.signal);
    this.ending.signal.throwIfAborted();
    const fullPath = filePath(path.root, record.directory, record.name);
    progress.bytes += size;
    if ((await problemOf(fullPath, record, reader)) === undefined) return;
    // A copy is renamed to its final name after its record is committed: waits for the current batch and checks again.
    await store.writer.commit({});
    // An append has written its bytes before they are recorded.
    await store.appenders.exclusive(record, () => this.checkAgain(record, path, progress));
  }

  /** Checks a file that did not match its record, and quarantines it if it still does not. */
  private async checkAgain({ key, name }: FileRecord, path: StorePath, progress: ScrubProgress): Promise<void> {
    const { store, index, fetcher, alarms, isAlone } = this.parts;
    const current = index.find(key);
    if (!current) return;
    const fullPath = filePath(path.root, current.directory, name);
    const problem = await problemOf(fullPath, current, new ContentReader());
    if (problem === undefined) return;
    for (const name of this.namesOf(current, path)) {
      progress.bad++;
      const kept = await store.quarantine(name);
      const where = kept === undefined ? '' : `; what was there is kept as ${kept}`;
      alarms.raise('damage', name.name, `${problem}${where}; ${isAlone() ? NO_PEER : 'it is fetched from a peer'}`);
    }
    fetcher.wake();
  }

  /** The records of all hard links to the same inode, including this one: all have the same content. */
  private namesOf(record: FileRecord, path: StorePath): FileRecord[] {
    const inode = path.inodeOf(record.directory, record.name);
    if (inode === undefined) return [record];
    const same = this.parts.index.allOfContent(record.sha256).filter((other) => {
      return other.storePath === path.number && path.inodeOf(other.directory, other.name) === inode;
    });
    return same.some(({ name }) => name === record.name) ? same : [record, ...same];
  }

  /** Checks the files in the directories that have no record. */
  private async searchDirectories(progress: ScrubProgress, limit: RateLimit | undefined): Promise<void> {
    const { store, index, ids, alarms } = this.parts;
    const before = [...this.badUnknown];
    this.badUnknown.clear();
    for (const path of store.paths) {
      if (!path.isOpen || path.unavailable !== undefined) continue;
      for (const directory of directoriesOf(path)) {
        this.ending.signal.throwIfAborted();
        await sleep(0); // lets uploads run in between
        for (const file of filesAndLinksIn(path, directory, ids)) {
          if (file.isLink) {
            if (isDeletedFile(file.name, index)) path.discard(directory, file.name);
            continue;
          }
          const record = index.find(keyOf(file.name));
          if (record?.name !== file.name) await this.checkUnknown(file, progress, limit);
        }
      }
    }
    for (const name of before) if (!this.badUnknown.has(name)) alarms.clear('damage', name);
  }

  private async checkUnknown(file: FoundFile, progress: ScrubProgress, limit: RateLimit | undefined): Promise<void> {
    const { store, index, alarms } = this.parts;
    const path = store.paths[file.storePath];
    const key = keyOf(file.name);
    if (!path) return;
    const fullPath = filePath(path.root, file.directory, file.name);
    try {
      const { size, mtimeMs } = statSync(fullPath);
      const ours = file.ours && (isMutable(file.name) || mtimeMs === FILE_TIME * 1000);
      const isDeleted = isDeletedFile(file.name, index);
      // A file of FastDFS with its own key in its name may be another one than was deleted, with the same key.
      if (isDeleted && (file.ours || !hasOwnKey(file.name))) {
        path.discard(file.directory, file.name);
        return;
      }
      if (isMetadata(file.name) && !file.ours) return;
      await limit?.take(size + FILE_COST, this.ending.signal);
      const content = await readContent(fullPath, { sha256: true });
      const problem = isDeleted || tellsContent(file) ? differenceFromName(file.name, content) : undefined;
      if (problem !== undefined) {
        const reason = isDeleted ? 'a file with its key was deleted' : 'the file has no record here';
        // By its path where the key was deleted: an alarm of a deleted name is cleared.
        const subject = isDeleted ? fullPath : file.name;
        alarms.raise('damage', subject, `${problem}; ${reason}, and it is left as it is`);
        this.badUnknown.add(subject);
        progress.bad++;
      } else if (isDeleted) {
        path.discard(file.directory, file.name);
      } else if (ours && !index.find(key)) {
        const version = foundVersion(file.name, mtimeMs);
        await store.record({ ...file, key, ...content, sha256: content.sha256 as Buffer, version });
        progress.found++;
      }
    } catch (error) {
      if (!isNotFound(error)) throw error; // a file that is not found was deleted in the meantime
    }
  }
}

async function problemOf(path: string, record: FileRecord, reader: ContentReader): Promise<string | undefined> {
  try {
    return differenceFrom(record, await reader.read(path));
  } catch (error) {
    return isNotFound(error) ? 'the file is not there' : `the file cannot be read: ${(error as Error).message}`;
  }
}
