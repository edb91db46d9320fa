import type Database from 'better-sqlite3';
import type { Batch, Checkpoint, StoredFile } from '../store/records.js';
import type { Contents } from './contents.js';
import type { Missing } from './missing.js';
import type { ReplicationLog } from './replication-log.js';

/** A row of the table `file`. */
export interface FileRow {
  /** The ID's 20 bytes. */
  key: Buffer;
  /** Store path << 16 | directory. */
  place: number;
  /** The part of the name after the 27 characters that encode the key. */
  tail: string;
  /** 32 bytes. */
  sha256: Buffer;
}

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
  contents: Contents;
  missing: Missing;
}

/** Writes batches of added and removed files, each in one transaction together with the totals and the checkpoint. */
export class BatchWriter {
  private readonly replicationLog: ReplicationLog;
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
  private readonly withdrawInTransaction: (added: StoredFile[]) => void;

  /** @param state the row of `state` as it is in the database */
  constructor(database: Database.Database, { replicationLog, contents, missing }: Tables, state: State) {
    this.replicationLog = replicationLog;
    this.contents = contents;
    this.missing = missing;
    this.counts = state.totals;
    this.current = state.checkpoint;
    this.insertFile = database.prepare<[Buffer, number, string, Buffer]>('INSERT INTO file VALUES (?, ?, ?, ?)');
    // A copy's record exists already if only its file was missing.
    this.insertCopy = database.prepare<[Buffer, number, string, Buffer]>(
      'INSERT OR IGNORE INTO file VALUES (?, ?, ?, ?)',
    );
    this.insertTombstone = database.prepare<[Buffer]>('INSERT OR IGNORE INTO tombstone VALUES (?)');
    this.deleteFile = database.prepare<[Buffer]>('DELETE FROM file WHERE key = ?');
    this.updateState = database.prepare<[number, number, number, string]>(
      'UPDATE state SET files = ?, bytes = ?, saved = ?, checkpoint = ?',
    );
    this.selectFile = database.prepare<[Buffer], FileRow>('SELECT * FROM file WHERE key = ?');
    this.recordInTransaction = database.transaction((batch: Batch) => this.write(batch));
    this.withdrawInTransaction = database.transaction((added: StoredFile[]) => this.erase(added));
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
   * of SQLite and leaves totals, checkpoint and the log's last sequence number unchanged.
   */
  record(batch: Batch): void {
    const counts = this.counts;
    const { last } = this.replicationLog;
    try {
      this.recordInTransaction(batch);
      this.current = batch.checkpoint;
    } catch (error) {
      this.counts = counts;
      this.replicationLog.rollBackTo(last);
      throw error;
    }
  }

  /** Removes the records of added files in one transaction. If it fails, throws the error of SQLite; totals are unchanged. */
  withdraw(added: StoredFile[]): void {
    const counts = this.counts;
    try {
      this.withdrawInTransaction(added);
    } catch (error) {
      this.counts = counts;
      throw error;
    }
  }

  private write({ added, removed, checkpoint, alongside = [] }: Batch): void {
    const inserted = { files: 0, bytes: 0, saved: 0 };
    for (const file of added) {
      const place = (file.storePath << 16) | file.directory;
      const insert = file.accepted ? this.insertFile : this.insertCopy;
      if (insert.run(file.key, place, file.name.slice(27), file.sha256).changes === 0) continue;
      this.contents.add(file);
      if (file.accepted) file.sequence = this.replicationLog.append(file.key, { linked: file.linked });
      inserted.files++;
      inserted.bytes += file.size;
      if (file.linked) inserted.saved += file.size;
    }
    for (const file of removed) {
      if (!file.foreign) this.insertTombstone.run(file.key);
      this.missing.remove(file.key);
      if (file.accepted) file.sequence = this.replicationLog.append(file.key, { removed: file });
    }
    for (const change of alongside) change();
    this.count(inserted, this.eraseRows(removed), checkpoint);
  }

  private count(inserted: Totals, deleted: Totals, checkpoint: Checkpoint): void {
    const files = this.counts.files + inserted.files - deleted.files;
    const bytes = this.counts.bytes + inserted.bytes - deleted.bytes;
    const saved = this.counts.saved + inserted.saved - deleted.saved;
    this.counts = { files, bytes, saved };
    this.updateState.run(files, bytes, saved, JSON.stringify(checkpoint));
  }

  private erase(added: StoredFile[]): void {
    this.count({ files: 0, bytes: 0, saved: 0 }, this.eraseRows(added), this.current);
  }

  /** Deletes the records that exist, and returns their totals. */
  private eraseRows(files: readonly { key: Buffer; size: number }[]): Totals {
    const deleted = { files: 0, bytes: 0, saved: 0 };
    for (const { key, size } of files) {
      const row = this.selectFile.get(key);
      if (!row) continue;
      this.deleteFile.run(key);
      deleted.files++;
      deleted.bytes += size;
      if (this.contents.remove(row)) deleted.saved += size;
    }
    return deleted;
  }
}
