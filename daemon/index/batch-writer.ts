import type Database from 'better-sqlite3';
import { type Batch, type Checkpoint, type StoredFile, supersedes, type WithdrawnFile } from '../store/records.js';
import type { Contents } from './contents.js';
import { type FileRow, type FileValues, sizeOf, toRecord, toValues } from './file-row.js';
import type { Missing } from './missing.js';
import type { Outbox } from './outbox.js';
import type { ReplicationLog } from './replication-log.js';

/** Number and size of the stored files. */
export interface Totals {
  files: number;
  bytes: number;
  /** Bytes of files that are hard links to another one; included in `bytes`. */
  saved: number;
}

/** The one row of the table `state`. */
export interface State {
  totals: Totals;
  checkpoint: Checkpoint;
}

/** The tables that a batch changes, besides `file`, `tombstone` and `state`. */
interface Tables {
  replicationLog: ReplicationLog;
  outbox: Outbox;
  contents: Contents;
  missing: Missing;
}

/** Writes batches of added and removed files, each in one transaction together with the totals and the checkpoint. */
export class BatchWriter {
  private readonly replicationLog: ReplicationLog;
  private readonly outbox: Outbox;
  private readonly contents: Contents;
  private readonly missing: Missing;
  private counts: Totals;
  private current: Checkpoint;
  private readonly insertFile;
  private readonly insertCopy;
  private readonly insertTombstone;
  private readonly deleteFile;
  private readonly updateState;
  private readonly selectFile;
  private readonly recordInTransaction: (batch: Batch) => void;
  private readonly withdrawInTransaction: (files: readonly WithdrawnFile[]) => void;

  /** @param state the row of `state` as it is in the database */
  constructor(database: Database.Database, { replicationLog, outbox, contents, missing }: Tables, state: State) {
    this.replicationLog = replicationLog;
    this.outbox = outbox;
    this.contents = contents;
    this.missing = missing;
    this.counts = state.totals;
    this.current = state.checkpoint;
    this.insertFile = database.prepare<FileValues>('INSERT INTO file VALUES (?, ?, ?, ?, ?, ?)');
    // A copy's record exists already if only its file was missing; that of a file that was on the disk if a peer's copy came.
    this.insertCopy = database.prepare<FileValues>('INSERT OR IGNORE INTO file VALUES (?, ?, ?, ?, ?, ?)');
    this.insertTombstone = database.prepare<[Buffer]>('INSERT OR IGNORE INTO tombstone VALUES (?)');
    this.deleteFile = database.prepare<[Buffer]>('DELETE FROM file WHERE key = ?');
    this.updateState = database.prepare<[number, number, number, string]>(
      'UPDATE state SET files = ?, bytes = ?, saved = ?, checkpoint = ?',
    );
    this.selectFile = database.prepare<[Buffer], FileRow>('SELECT * FROM file WHERE key = ?');
    this.recordInTransaction = database.transaction((batch: Batch) => this.write(batch));
    this.withdrawInTransaction = database.transaction((files: readonly WithdrawnFile[]) => this.erase(files));
  }

  /** Totals of the committed transactions. */
  get totals(): Totals {
    return this.counts;
  }

  /** The checkpoint of the last committed batch. */
  get checkpoint(): Checkpoint {
    return this.current;
  }

  /**
   * Writes a batch in one transaction, and sets `sequence` of its accepted files. If the transaction fails, throws the error
   * of SQLite and leaves totals, checkpoint and the last numbers of log and outbox unchanged.
   */
  record(batch: Batch): void {
    const counts = this.counts;
    const { last } = this.replicationLog;
    const lastEvent = this.outbox.last;
    try {
      this.recordInTransaction(batch);
      this.current = batch.checkpoint;
    } catch (error) {
      this.counts = counts;
      this.replicationLog.rollBackTo(last);
      this.outbox.rollBackTo(lastEvent);
      throw error;
    }
  }

  /** Removes the records of files in one transaction. If it fails, throws the error of SQLite; totals are unchanged. */
  withdraw(files: readonly WithdrawnFile[]): void {
    const counts = this.counts;
    try {
      this.withdrawInTransaction(files);
    } catch (error) {
      this.counts = counts;
      throw error;
    }
  }

  private write({ added, removed, checkpoint, alongside = [] }: Batch): void {
    const inserted = { files: 0, bytes: 0, saved: 0 };
    const replaced: StoredFile[] = [];
    for (const file of added) if (file.version !== undefined && this.isReplacement(file)) replaced.push(file);
    const lost = replaced.length > 0 ? this.eraseRows(replaced) : { files: 0, bytes: 0, saved: 0 };
    for (const file of added) {
      const insert = file.accepted && !file.existed ? this.insertFile : this.insertCopy;
      if (insert.run(...toValues(file)).changes === 0) continue;
      this.contents.add(file);
      if (file.accepted) file.sequence = this.replicationLog.append(file.key, { linked: file.linked });
      if (file.accepted && this.outbox.enabled) this.outbox.addStored(file);
      inserted.files++;
      inserted.bytes += file.size;
      if (file.linked) inserted.saved += file.size;
    }
    for (const file of removed) {
      if (!file.foreign) this.insertTombstone.run(file.key);
      this.missing.remove(file.key);
      if (file.accepted) file.sequence = this.replicationLog.append(file.key, { removed: file });
      const isEvent = file.accepted || file.recovered === true;
      if (isEvent && this.outbox.enabled) this.outbox.addDeleted(file, this.selectFile.get(file.key));
    }
    for (const change of alongside) change();
    this.count(inserted, sumOf(lost, this.eraseRows(removed)), checkpoint);
  }

  private isReplacement(file: StoredFile): boolean {
    const row = this.selectFile.get(file.key);
    return row !== undefined && supersedes(file, toRecord(row));
  }

  private count(inserted: Totals, deleted: Totals, checkpoint: Checkpoint): void {
    const files = this.counts.files + inserted.files - deleted.files;
    const bytes = this.counts.bytes + inserted.bytes - deleted.bytes;
    const saved = this.counts.saved + inserted.saved - deleted.saved;
    this.counts = { files, bytes, saved };
    this.updateState.run(files, bytes, saved, JSON.stringify(checkpoint));
  }

  private erase(files: readonly WithdrawnFile[]): void {
    const deleted = this.eraseRows(files);
    const restored = { files: 0, bytes: 0, saved: 0 };
    for (const { replaced } of files) {
      if (!replaced || this.insertCopy.run(...toValues(replaced)).changes === 0) continue;
      this.contents.add(replaced);
      restored.files++;
      restored.bytes += replaced.size;
    }
    this.count(restored, deleted, this.current);
  }

  /** Deletes the records that exist, and returns their totals. */
  private eraseRows(files: readonly { key: Buffer }[]): Totals {
    const deleted = { files: 0, bytes: 0, saved: 0 };
    for (const { key } of files) {
      const row = this.selectFile.get(key);
      if (!row) continue;
      this.deleteFile.run(key);
      const size = sizeOf(row);
      deleted.files++;
      deleted.bytes += size;
      if (this.contents.remove(row)) deleted.saved += size;
    }
    return deleted;
  }
}

function sumOf(one: Totals, other: Totals): Totals {
  return { files: one.files + other.files, bytes: one.bytes + other.bytes, saved: one.saved + other.saved };
}
