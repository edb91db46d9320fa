import { closeSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type Database from 'better-sqlite3';
import { isFull } from '../store/errors.js';
import type { Batch, Checkpoint, FileRecord, Records, StoredFile } from '../store/records.js';
import { BatchWriter, type FileRow, type State, type Totals } from './batch-writer.js';
import { Checkpointer } from './checkpointer.js';
import { Contents } from './contents.js';
import { Damage } from './damage.js';
import { openDatabase } from './database.js';
import { DeferredDeletions } from './deferred.js';
import { computeDigests, type DigestOrder, type Digests, tombstoneBounds } from './digests.js';
import { firstKey, lastKey } from './keys.js';
import { Missing } from './missing.js';
import { ReplicationLog } from './replication-log.js';
import { Resumable } from './resumable.js';
import { prepareSchema } from './schema.js';
import { KnownStorePaths } from './store-paths.js';
import { runThread } from './thread.js';

/** How far the files have been checked. */
export interface ScrubState {
  /** The key that was checked last in this round; empty at its beginning. */
  position: Buffer;
  /** When this round began, in seconds since 1970; null when none is under way. */
  started: number | null;
  /** When the last complete round began, or the index was made. */
  before: number;
}

function toRecord(row: FileRow): FileRecord {
  const name = row.key.toString('base64url') + row.tail;
  return { key: row.key, name, storePath: row.place >>> 16, directory: row.place & 0xffff, sha256: row.sha256 };
}

/**
 * Opens the index, a SQLite file, making it when there is none. One process may write to it: see `lock.ts`.
 *
 * Commits are not synced by SQLite (`synchronous = NORMAL` keeps the file sound, not durable): the durable write syncs
 * the WAL together with the files, which saves one sync a batch and never blocks the event loop on one.
 */
export class Index implements Records {
  readonly directory: string;
  readonly walDescriptor: number;
  /** What clients asked of this node, for its peers. */
  readonly replicationLog: ReplicationLog;
  private readonly contents: Contents;
  /** What should be here and is not. */
  readonly missing: Missing;
  /** What should not be here any more, on store paths that take no deletions now. */
  readonly deferred: DeferredDeletions;
  /** What has come of uploads in pieces. */
  readonly resumable: Resumable;
  /** Which disk is which. */
  readonly storePaths: KnownStorePaths;
  private readonly known = new Damage();
  private readonly database: Database.Database;
  private readonly checkpointer: Checkpointer;
  private readonly writer: BatchWriter;
  private readonly selectFile;
  private readonly selectTombstone;
  private readonly selectAfter;
  private readonly selectTombstones;
  private readonly selectSince;

  /**
   * @param warn is told what went wrong without harm to anything
   * @param upgrades whether an index of an earlier version is brought up to date, else it is an error
   */
  constructor(
    private readonly file: string,
    warn: (message: string, error: unknown) => void = () => {},
    { upgrades = true } = {},
  ) {
    this.checkpointer = new Checkpointer(file, (message, error) => {
      warn(message, this.known.caught(error));
    });
    this.directory = dirname(file);
    const database = openDatabase(file, this.known);
    this.database = database;
    database.pragma('synchronous = NORMAL');
    // The checkpointer does it; this is for when it cannot, in pages of 4 KiB.
    database.pragma('wal_autocheckpoint = 64000');
    database.pragma('cache_size = -16384');
    prepareSchema(database, file, upgrades);
    this.replicationLog = new ReplicationLog(database);
    this.missing = new Missing(database);
    this.deferred = new DeferredDeletions(database);
    this.contents = new Contents(database);
    this.resumable = new Resumable(database);
    this.storePaths = new KnownStorePaths(database);
    this.walDescriptor = openSync(`${file}-wal`, 'r');

    this.selectFile = database.prepare<[Buffer], FileRow>('SELECT * FROM file WHERE key = ?');
    this.selectTombstone = database.prepare<[Buffer], { key: Buffer }>('SELECT key FROM tombstone WHERE key = ?');
    this.selectAfter = database.prepare<[Buffer, number], FileRow>(
      'SELECT * FROM file WHERE key > ? ORDER BY key LIMIT ?',
    );
    this.selectTombstones = database.prepare<[Buffer, Buffer, number], { key: Buffer }>(
      'SELECT key FROM tombstone WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?',
    );
    this.selectSince = database.prepare<[Buffer, Buffer], FileRow>('SELECT * FROM file WHERE key BETWEEN ? AND ?');
    const { replicationLog, contents, missing } = this;
    this.writer = new BatchWriter(database, { replicationLog, contents, missing }, this.readState());
  }

  /** Why the index cannot be relied on, and what to do, for people; undefined while nothing is known to be wrong. */
  get damage(): string | undefined {
    return this.known.reason;
  }

  /** Looks at all of it, in a thread of its own. Rejects with a StoreError when it is damaged. */
  async check(): Promise<void> {
    this.known.assertNone();
    const program = new URL('./check-worker.js', import.meta.url);
    const said = await runThread(program, this.file).catch(this.known.rethrow);
    if (said !== 'ok') this.known.found(String(said).replaceAll('\n', ' '));
  }

  get checkpoint(): Checkpoint {
    return this.writer.checkpoint;
  }

  get totals(): Totals {
    return this.writer.totals;
  }

  record(batch: Batch): void {
    try {
      this.writer.record(batch);
      this.checkpointer.changed(batch.added.length + batch.removed.length);
    } catch (error) {
      // The WAL needs to grow no more when it begins again.
      if (isFull(error)) this.checkpointer.copy();
      throw error;
    }
  }

  withdraw(added: StoredFile[]): void {
    this.writer.withdraw(added);
  }

  publish(): void {
    this.replicationLog.publish();
  }

  markMissing(file: FileRecord): void {
    this.missing.add(file);
  }

  invalidateCursors(): void {
    this.replicationLog.invalidateCursors();
  }

  reading<Found>(look: () => Found): Found {
    return this.database.transaction(look)();
  }

  find(key: Buffer): FileRecord | undefined {
    const row = this.selectFile.get(key);
    return row && toRecord(row);
  }

  isDeleted(key: Buffer): boolean {
    return this.selectTombstone.get(key) !== undefined;
  }

  findMissing(key: Buffer): FileRecord | undefined {
    return this.missing.find(key);
  }

  isResumable(id: string): boolean {
    return this.resumable.find(id)?.file === null;
  }

  findByContent(sha256: Buffer): FileRecord[] {
    return this.recordsOf(sha256, this.contents.newestOf(sha256));
  }

  /** All files with this content. */
  allOfContent(sha256: Buffer): FileRecord[] {
    return this.recordsOf(sha256, this.contents.keysOf(sha256));
  }

  private recordsOf(sha256: Buffer, keys: readonly Buffer[]): FileRecord[] {
    return keys.flatMap((key) => this.find(key) ?? []).filter((record) => record.sha256.equals(sha256));
  }

  createdSince(serverId: number, second: number): FileRecord[] {
    return this.selectSince.all(firstKey(serverId, second), lastKey(serverId)).map(toRecord);
  }

  /** The files that come after a key, in the order of their IDs. */
  after(key: Buffer, limit: number): FileRecord[] {
    return this.selectAfter.all(key, limit).map(toRecord);
  }

  deletedAfter(key: Buffer, limit: number): Buffer[] {
    const select = 'SELECT key FROM tombstone WHERE key > ? ORDER BY key LIMIT ?';
    return this.database
      .prepare<[Buffer, number], { key: Buffer }>(select)
      .all(key, limit)
      .map((row) => row.key);
  }

  get scrub(): ScrubState {
    const row = this.database.prepare<[], ScrubState>('SELECT position, started, before FROM scrub').get();
    if (!row) throw new Error('the index has lost where the scrub is; run "fidfs rebuild"');
    return row;
  }

  set scrub({ position, started, before }: ScrubState) {
    this.database.prepare('UPDATE scrub SET position = ?, started = ?, before = ?').run(position, started, before);
  }

  /** The deleted keys of a part (see `tombstoneBounds`) that come after a key, in order; at most `limit`, where one is given. */
  tombstonesOf(part: number, after?: Buffer, limit = -1): Buffer[] {
    const [first, last] = tombstoneBounds(part);
    // A key with a zero byte behind it is the first that is greater.
    const next = after ? Buffer.concat([after, Buffer.alloc(1)]) : first;
    const from = next.compare(first) > 0 ? next : first;
    return this.selectTombstones.all(from, last, limit).map(({ key }) => key);
  }

  /** Digests of all files and tombstones, in one version of the digests, for anti-entropy. */
  digests(order: Omit<DigestOrder, 'database'>): Promise<Digests> {
    return computeDigests({ database: this.file, ...order }).catch(this.known.rethrow);
  }

  /** All files in the order of their IDs, one at a time. */
  *all(): Generator<FileRecord> {
    for (const row of this.database.prepare<[], FileRow>('SELECT * FROM file').iterate()) yield toRecord(row);
  }

  lastSecond(serverId: number): number {
    const newest = ['file', 'tombstone'].map((table) =>
      this.database
        .prepare<[Buffer, Buffer], { key: Buffer | null }>(
          `SELECT max(key) AS key FROM ${table} WHERE key BETWEEN ? AND ?`,
        )
        .get(firstKey(serverId, 0), lastKey(serverId)),
    );
    return Math.max(...newest.map((row) => row?.key?.readUInt32BE(4) ?? 0));
  }

  async close(): Promise<void> {
    await this.checkpointer.close();
    closeSync(this.walDescriptor);
    this.database.close();
  }

  private readState(): State {
    const row = this.database.prepare<[], Totals & { checkpoint: string }>('SELECT * FROM state').get();
    if (!row) throw new Error(`the index ${this.file} has lost its state; run "fidfs rebuild"`);
    const checkpoint = { copies: [], batches: [], ...this.parse(row.checkpoint) };
    return { totals: { files: row.files, bytes: row.bytes, saved: row.saved }, checkpoint };
  }

  private parse(checkpoint: string): Omit<Checkpoint, 'copies' | 'batches'> & Partial<Checkpoint> {
    try {
      return JSON.parse(checkpoint);
    } catch (error) {
      return this.known.found('its checkpoint cannot be read', error);
    }
  }
}
