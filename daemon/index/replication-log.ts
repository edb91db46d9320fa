import type Database from 'better-sqlite3';
import type { FileLocation } from '../store/records.js';
import { Epochs } from './epochs.js';

/** One entry of the replication log. */
export interface LogEntry {
  sequence: number;
  key: Buffer;
  /** When it was recorded, in seconds since 1970. */
  time: number;
  /** The file that came, where it lies; undefined when it is gone again, or when this is a deletion. */
  added: (FileLocation & { sha256: Buffer }) | undefined;
  /** Whether that was one more name of a file that was here before. */
  linked: boolean;
  /** What was deleted; undefined for an upload. */
  removed: (FileLocation & { foreign: boolean }) | undefined;
}

interface LogEntryRow {
  number: number;
  key: Buffer;
  time: number;
  removed: string | null;
  linked: number;
  place: number | null;
  tail: string | null;
  sha256: Buffer | null;
}

/** What an entry says beside the key: what was deleted, or whether an upload was a link. */
interface Appended {
  removed?: FileLocation & { foreign: boolean };
  linked?: boolean | undefined;
}

/** How far a peer's log has been followed. */
export interface Cursor {
  /** The epoch of the peer's log in which that was. */
  epoch: string;
  sequence: number;
  /** What this node holds of the log begins after this sequence number: before it, large files that anti-entropy found may be missing. */
  from: number;
}

/**
 * What a cursor of a follower is worth. `known`: its history is this log's, and the log reaches back to it. `gap`: it is
 * not known (any more) what came after it. `diverged`: it proves that this log has lost entries which the follower has.
 */
export type CursorState = 'known' | 'gap' | 'diverged';

function toEntry({ number: sequence, key, time, removed, linked, place, tail, sha256 }: LogEntryRow): LogEntry {
  const name = tail === null ? '' : key.toString('base64url') + tail;
  const added =
    removed === null && place !== null && sha256 !== null
      ? { storePath: place >>> 16, directory: place & 0xffff, name, sha256 }
      : undefined;
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
 * The replication log: what clients asked of this node, with sequence numbers from 1 on, in the order in which it became durable. Peers
 * follow it. Sequence numbers may have gaps; none is used twice within an epoch (see `epochs.ts`).
 */
export class ReplicationLog {
  /** Whether anybody follows: without peers in the group nothing is written down. */
  enabled = false;
  /** The newest sequence number that was given out. */
  last: number;
  /** The newest sequence number that is durable, which is how far peers are told. */
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
      `SELECT operation.*, file.place, file.tail, file.sha256 FROM operation LEFT JOIN file ON file.key = operation.key
       WHERE number > ? AND number <= ? ORDER BY number LIMIT ?`,
    );
    this.selectCursor = database.prepare<[number], Cursor>(
      'SELECT epoch, number AS sequence, "from" FROM cursor WHERE peer = ?',
    );
    this.updateCursor = database.prepare<[number, string, number, number]>(
      'INSERT OR REPLACE INTO cursor (peer, epoch, number, "from") VALUES (?, ?, ?, ?)',
    );
  }

  /** Adds an entry, within the transaction of the batch it belongs to. Returns its sequence number, or undefined without a log. */
  append(key: Buffer, { removed, linked = false }: Appended = {}): number | undefined {
    if (!this.enabled) return undefined;
    const number = this.last + 1;
    const { storePath, directory, name, foreign } = removed ?? {};
    const text = removed ? JSON.stringify({ storePath, directory, name, foreign }) : null;
    this.insert.run(number, key, Math.floor(Date.now() / 1000), text, linked ? 1 : 0);
    this.last = number;
    return number;
  }

  /** The transaction of the entries after this sequence number failed. */
  rollBackTo(last: number): void {
    this.last = last;
  }

  /** What was recorded so far is durable. Every listener is told; throws what the first of them threw. */
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

  /** Calls back whenever more of the log is durable; returns the function that ends it. */
  onPublish(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The entries after a sequence number, oldest first, at most `limit`. */
  read(after: number, limit: number): LogEntry[] {
    return this.select.all(after, this.published, limit).map(toEntry);
  }

  /** The epoch under way. */
  get epoch(): string {
    return this.epochs.current;
  }

  /**
   * Begins an epoch, at each start and wherever the log turns out to have lost something. Durable after the next sync.
   * @param continues whether cursors of earlier epochs stay good; false where entries of what happened since may be missing
   */
  beginEpoch({ continues }: { continues: boolean }): void {
    this.epochs.begin(this.last, continues);
  }

  /** What a follower's cursor is worth. */
  stateOf({ epoch, sequence }: Pick<Cursor, 'epoch' | 'sequence'>): CursorState {
    const end = this.epochs.endOf(epoch);
    if (end === undefined) return this.epochs.isLost(epoch) ? 'diverged' : 'gap';
    if (sequence > Math.min(end, this.published)) return 'diverged';
    return sequence >= this.start ? 'known' : 'gap';
  }

  /** When the first entry after a sequence number was recorded, in seconds since 1970; undefined when there is none. */
  timeAfter(after: number): number | undefined {
    return this.read(after, 1)[0]?.time;
  }

  /** Truncates the log: deletes the entries up to a sequence number. */
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

  /** How far this node has followed a peer's log; undefined when it never did. */
  cursor(peer: number): Cursor | undefined {
    return this.selectCursor.get(peer);
  }

  /** What the cursors stand for may be missing here. */
  invalidateCursors(): void {
    this.database.exec('DELETE FROM cursor');
  }

  /** Notes it, within the transaction of what was taken over. */
  moveCursor(peer: number, { epoch, sequence, from }: Cursor): void {
    this.updateCursor.run(peer, epoch, sequence, from);
  }
}
