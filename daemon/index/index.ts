import { closeSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type Database from 'better-sqlite3';
import { isFull } from '../store/errors.js';
import type { Batch, Checkpoint, FileRecord, Records, WithdrawnFile } from '../store/records.js';
import { BatchWriter, type State, type Totals } from './batch-writer.js';
import { Checkpointer } from './checkpointer.js';
import { Contents } from './contents.js';
import { Damage } from './damage.js';
import { openDatabase } from './database.js';
import { DeferredDeletions } from './deferred.js';
import { computeDigests, type DigestOrder, type Digests, tombstoneBounds } from './digests.js';
import { type FileRow, toRecord } from './file-row.js';
import { firstKey, lastKey } from './keys.js';
import { Listing } from './listing.js';
import { Missing } from './missing.js';
import { Outbox } from './outbox.js';
import { ReplicationLog } from './replication-log.js';
import { Resumable } from './resumable.js';
import { prepareSchema } from './schema.js';
import { KnownStorePaths } from './store-paths.js';
import { runThread } from './thread.js';

/** Progress of the scrub. */
export interface ScrubState {
  /** The last key that this round has checked; empty at its beginning. */
  position: Buffer;
  /** When this round began, in seconds since 1970; null between rounds. */
  started: number | null;
  /** When the last complete round began, in seconds since 1970; before the first one, when the index was created. */
  before: number;
}

/**
 * The index of the stored files, a SQLite file. Only one process may write to it: see `lock.ts`.
 *
 * SQLite does not sync commits (`synchronous = NORMAL` keeps the file consistent, but not durable): the durable write syncs
 * the WAL together with the files, which saves one sync per batch and does not block the event loop.
 */
export class Index implements Records {
  readonly directory: string;
  readonly walDescriptor: number;
  /** Uploads and deletions that this node accepted from clients, for replication to its peers. */
  readonly replicationLog: ReplicationLog;
  /** Of these, what is still to be published as events. */
  readonly outbox: Outbox;
  private readonly contents: Contents;
  /** Files that this node should hold but does not. */
  readonly missing: Missing;
  /** Deletions of peers that wait for an unavailable store path. */
  readonly deferred: DeferredDeletions;
  /** State of resumable uploads. */
  readonly resumable: Resumable;
  /** Files by time. */
  readonly listing: Listing;
  /** Identities of the store paths. */
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
  private readonly selectOthers;

  /**
   * Opens the index, and creates it if the file does not exist. Throws if it cannot be opened or has a later version, and a
   * StoreError if it is damaged.
   * @param file path of the SQLite file
   * @param warn logs failures of checkpoints, which are retried
   * @param upgrades whether to upgrade an index of an earlier version; if false, throws instead
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
    // In pages of 4 KiB. Only a fallback if the checkpointer fails.
    database.pragma('wal_autocheckpoint = 64000');
    database.pragma('cache_size = -16384');
    prepareSchema(database, file, upgrades);
    this.replicationLog = new ReplicationLog(database);
    this.outbox = new Outbox(database);
    this.missing = new Missing(database);
    this.deferred = new DeferredDeletions(database);
    this.contents = new Contents(database);
    this.resumable = new Resumable(database);
    this.listing = new Listing(database);
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
    this.selectOthers = database.prepare<[Buffer, Buffer], FileRow>(
      'SELECT * FROM file INDEXED BY file_sized WHERE size IS NOT NULL AND key BETWEEN ? AND ?',
    );
    const { replicationLog, outbox, contents, missing } = this;
    this.writer = new BatchWriter(database, { replicationLog, outbox, contents, missing }, this.readState());
  }

  /** Human-readable reason why the index is damaged, and what to do; undefined if no damage has been found. */
  get damage(): string | undefined {
    return this.known.reason;
  }

  /** Checks all pages of the index, in a thread of its own. Rejects with a StoreError if it is damaged. */
  async check(): Promise<void> {
    this.known.assertNone();
    const program = new URL('./check-worker.js', import.meta.url);
    const result = await runThread(program, this.file).catch(this.known.rethrow);
    if (result !== 'ok') this.known.found(String(result).replaceAll('\n', ' '));
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
      // After a checkpoint SQLite overwrites the WAL from its beginning, which needs no more space.
      if (isFull(error)) this.checkpointer.copy();
      throw error;
    }
  }

  withdraw(files: readonly WithdrawnFile[]): void {
    this.writer.withdraw(files);
  }

  publish(): void {
    this.outbox.publish();
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

  appenders(): FileRecord[] {
    // The condition of the index file_appender: only appenders have a version and a tail of 7 characters.
    const select = 'SELECT * FROM file WHERE version > 0 AND length(tail) = 7';
    return this.database.prepare<[], FileRow>(select).all().map(toRecord);
  }

  others(key: Buffer): FileRecord[] {
    const [first, last] = [Buffer.alloc(20), Buffer.alloc(20, 0xff)];
    for (const bound of [first, last]) key.copy(bound, 0, 0, 8);
    return [...this.selectOthers.all(first, last).map(toRecord), ...this.missing.others(first, last)];
  }

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

  /** Deleted keys of a part (see `tombstoneBounds`), in order: those greater than `after`, at most `limit`; without them all. */
  tombstonesOf(part: number, after?: Buffer, limit = -1): Buffer[] {
    const [first, last] = tombstoneBounds(part);
    // The smallest buffer greater than a key is the key followed by a zero byte.
    const next = after ? Buffer.concat([after, Buffer.alloc(1)]) : first;
    const from = next.compare(first) > 0 ? next : first;
    return this.selectTombstones.all(from, last, limit).map(({ key }) => key);
  }

  /** Computes digests of the files and tombstones for anti-entropy. Rejects with a StoreError if the index is damaged. */
  digests(order: Omit<DigestOrder, 'database'>): Promise<Digests> {
    return computeDigests({ database: this.file, ...order }).catch(this.known.rethrow);
  }

  /** Iterates over all files, ordered by key. */
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
