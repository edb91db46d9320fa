import type Database from 'better-sqlite3';
import type { FileLocation, FileRecord } from '../store/records.js';
import { Epochs } from './epochs.js';
import { type FileRow, toRecord } from './file-row.js';

/** One entry of the replication log. */
export interface LogEntry {
  sequence: number;
  key: Buffer;
  /** When it was recorded, in seconds since 1970. */
  time: number;
  /** The uploaded file; undefined for a deletion, or if the file was deleted since. */
  added: FileRecord | undefined;
  /** Whether the file is a hard link to a file that existed before. */
  linked: boolean;
  /** The deleted file; undefined for an upload. */
  removed: (FileLocation & { foreign: boolean }) | undefined;
}

interface LogEntryRow extends Omit<FileRow, 'place'> {
  number: number;
  time: number;
  removed: string | null;
  linked: number;
  /** This and the other columns of `file` are null if there is no file. */
  place: number | null;
}

/** Content of an entry besides the key: the deleted file, or whether an uploaded file is a hard link. */
interface Appended {
  removed?: FileLocation & { foreign: boolean };
  linked?: boolean | undefined;
}

/** The position up to which a peer's log has been followed. */
export interface Cursor {
  /** The epoch of the peer's log that the sequence number belongs to. */
  epoch: string;
  sequence: number;
  /** This node holds the log's files after this sequence number. Up to it, large files that anti-entropy found may be missing. */
  from: number;
}

/**
 * Validity of a follower's cursor. `known`: the log contains all entries after it. `gap`: entries after it were truncated, or
 * its epoch is unknown. `diverged`: it proves that this log has lost entries that the follower has.
 */
export type CursorState = 'known' | 'gap' | 'diverged';

function toEntry(row: LogEntryRow): LogEntry {
  const { number: sequence, key, time, removed, linked, place } = row;
  const added = removed === null && place !== null ? toRecord({ ...row, place }) : undefined;
  return {
    sequence,
    key,
    time,
    added,
    linked: linked === 1,
    removed: removed === null ? undefined : JSON.parse(removed),
  };
}

/**
 * The replication log: the uploads and deletions that this node accepted from clients, in commit order. Peers follow it.
 * Sequence numbers start at 1 and may have gaps; none is used twice within an epoch (see `epochs.ts`).
 */
export class ReplicationLog {
  /** Whether entries are recorded; false if the group has no other node. */
  enabled = false;
  /** The last sequence number assigned. */
  last: number;
  /** The last durable sequence number. Followers get entries only up to it. */
  published: number;
  private start: number;
  private readonly epochs: Epochs;
  private readonly listeners = new Set<() => void>();
  private readonly insert;
  private readonly select;
  private readonly selectCursor;
  private readonly updateCursor;

  constructor(private readonly database: Database.Database) {
    const row = database.prepare<[], { cut: number }>('SELECT cut FROM log').get();
    if (!row) throw new Error('the index has lost its replication log; run "fidfs rebuild"');
    this.epochs = new Epochs(database);
    this.start = row.cut;
    const newest = database.prepare<[], { number: number | null }>('SELECT max(number) AS number FROM operation').get();
    this.last = newest?.number ?? this.start;
    this.published = this.last;
    this.insert = database.prepare<[number, Buffer, number, string | null, number]>(
      'INSERT INTO operation VALUES (?, ?, ?, ?, ?)',
    );
    this.select = database.prepare<[number, number, number], LogEntryRow>(
      `SELECT operation.*, file.place, file.tail, file.sha256, file.size, file.version FROM operation LEFT JOIN file ON file.key = operation.key
       WHERE number > ? AND number <= ? ORDER BY number LIMIT ?`,
    );
    this.selectCursor = database.prepare<[number], Cursor>(
      'SELECT epoch, number AS sequence, "from" FROM cursor WHERE peer = ?',
    );
    this.updateCursor = database.prepare<[number, string, number, number]>(
      'INSERT OR REPLACE INTO cursor (peer, epoch, number, "from") VALUES (?, ?, ?, ?)',
    );
  }

  /** Appends an entry, within the transaction of its batch. Returns its sequence number; undefined if the log is not enabled. */
  append(key: Buffer, { removed, linked = false }: Appended = {}): number | undefined {
    if (!this.enabled) return undefined;
    const number = this.last + 1;
    const { storePath, directory, name, foreign } = removed ?? {};
    const text = removed ? JSON.stringify({ storePath, directory, name, foreign }) : null;
    this.insert.run(number, key, Math.floor(Date.now() / 1000), text, linked ? 1 : 0);
    this.last = number;
    return number;
  }

  /** Resets the last sequence number after the transaction of the later entries failed. */
  rollBackTo(last: number): void {
    this.last = last;
  }

  /** Marks all entries as durable and calls every listener. Throws the first error of a listener after calling all. */
  publish(): void {
    if (this.published === this.last) return;
    this.published = this.last;
    const failures: unknown[] = [];
    for (const listener of [...this.listeners]) {
      try {
        listener();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Calls the listener whenever more entries are durable. Returns the function that removes the listener. */
  onPublish(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The durable entries after a sequence number, oldest first, at most `limit`. */
  read(after: number, limit: number): LogEntry[] {
    return this.select.all(after, this.published, limit).map(toEntry);
  }

  /** The id of the current epoch. */
  get epoch(): string {
    return this.epochs.current;
  }

  /**
   * Begins an epoch: at each start, and when the log has lost entries. Durable after the next sync.
   * @param continues whether cursors of earlier epochs stay valid; must be false if entries may be missing from the log
   */
  beginEpoch({ continues }: { continues: boolean }): void {
    this.epochs.begin(this.last, continues);
  }

  stateOf({ epoch, sequence }: Pick<Cursor, 'epoch' | 'sequence'>): CursorState {
    const end = this.epochs.endOf(epoch);
    if (end === undefined) return this.epochs.isLost(epoch) ? 'diverged' : 'gap';
    if (sequence > Math.min(end, this.published)) return 'diverged';
    return sequence >= this.start ? 'known' : 'gap';
  }

  /** When the first entry after a sequence number was recorded, in seconds since 1970; undefined if there is none. */
  timeAfter(after: number): number | undefined {
    return this.read(after, 1)[0]?.time;
  }

  /** Deletes the entries up to and including a sequence number. */
  truncate(upTo: number): void {
    if (upTo <= this.start) return;
    const forget = this.database.transaction(() => {
      this.database.prepare('DELETE FROM operation WHERE number <= ?').run(upTo);
      this.database.prepare('UPDATE log SET cut = ?').run(upTo);
    });
    forget();
    this.start = upTo;
  }

  /** The sequence number up to which the log was truncated. */
  get startsAfter(): number {
    return this.start;
  }

  /** This node's cursor in a peer's log; undefined if it has none. */
  cursor(peer: number): Cursor | undefined {
    return this.selectCursor.get(peer);
  }

  /** Deletes the cursors, because files that they cover may be missing on this node. */
  invalidateCursors(): void {
    this.database.exec('DELETE FROM cursor');
  }

  /** Sets the cursor in a peer's log, within the transaction that records the entries before it. */
  moveCursor(peer: number, { epoch, sequence, from }: Cursor): void {
    this.updateCursor.run(peer, epoch, sequence, from);
  }
}
