import type Database from 'better-sqlite3';
import { isMetadata, nameOf, tailOf } from '../store/names.js';
import type { FileLocation, FileRecord, RemovedFile, StoredFile } from '../store/records.js';
import { type FileRow, sizeOf } from './file-row.js';

/** One upload or deletion that waits to be published. */
export interface OutboxEntry extends FileLocation {
  /** Increases by one with each entry; never used twice, unless the index is made anew. */
  number: number;
  /** When the epoch began in which it was recorded (see `epochs.ts`), in milliseconds since 1970. */
  epoch: number;
  /** When it was recorded, in milliseconds since 1970. */
  time: number;
  isDeletion: boolean;
  /** 20 bytes. */
  key: Buffer;
  /** Bytes; undefined for the deletion of a file without a record. */
  size: number | undefined;
  /** 32 bytes; undefined as `size`. */
  sha256: Buffer | undefined;
}

interface EventRow {
  number: number;
  epoch: number;
  time: number;
  deleted: number;
  key: Buffer;
  place: number;
  tail: string;
  size: number | null;
  sha256: Buffer | null;
}

type EventValues = [number, number, number, number, Buffer, number, string, number | null, Buffer | null];

function toEntry({ deleted, key, place, tail, size, sha256, ...row }: EventRow): OutboxEntry {
  const location = { name: nameOf(key, tail), storePath: place >>> 16, directory: place & 0xffff };
  return { ...row, ...location, key, isDeletion: deleted === 1, size: size ?? undefined, sha256: sha256 ?? undefined };
}

/**
 * The uploads and deletions of this node's replication log that are still to be published as events. An entry is written in the
 * transaction that writes the one of the log, and is read only after its sync. It holds what an event consists of, because the
 * log's entry of an upload has no name any more when the file is deleted. A group of one node has an outbox, too, but no log.
 */
export class Outbox {
  /** Whether entries are recorded. */
  enabled = false;
  /** The last number assigned. */
  last: number;
  /** The last durable number. */
  private published: number;
  /** Entries up to this number need not be sent any more. */
  private acknowledged: number;
  /** Entries up to this number are deleted. */
  private deleted: number;
  private epoch = 0;
  private listener: (() => void) | undefined;
  private readonly insert;
  private readonly select;
  private readonly selectTime;
  private readonly delete;

  constructor(database: Database.Database) {
    const sequence = "SELECT seq FROM sqlite_sequence WHERE name = 'event'";
    const newest = database.prepare<[], { seq: number }>(sequence).get();
    const oldest = database.prepare<[], { number: number | null }>('SELECT min(number) AS number FROM event').get();
    this.last = newest?.seq ?? 0;
    this.published = this.last;
    this.acknowledged = oldest?.number == null ? this.last : oldest.number - 1;
    this.deleted = this.acknowledged;
    this.insert = database.prepare<EventValues>('INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
    // The record of an upload that was not made durable has been withdrawn, without a tombstone.
    this.select = database.prepare<[number, number, number], EventRow>(
      `SELECT * FROM event WHERE number > ? AND number <= ? AND (deleted = 1
         OR EXISTS (SELECT 1 FROM file WHERE key = event.key) OR EXISTS (SELECT 1 FROM tombstone WHERE key = event.key)
         OR EXISTS (SELECT 1 FROM missing WHERE key = event.key))
       ORDER BY number LIMIT ?`,
    );
    this.selectTime = database.prepare<[number, number], { time: number }>(
      'SELECT time FROM event WHERE number > ? AND number <= ? ORDER BY number LIMIT 1',
    );
    this.delete = database.prepare<[number]>('DELETE FROM event WHERE number <= ?');
  }

  /**
   * To be called at each start, before anything is recorded.
   * @param epoch the id of the log's epoch
   * @returns how many entries were deleted because events are off
   */
  begin(epoch: string, enabled: boolean): number {
    this.epoch = Number.parseInt(epoch.slice(0, 12), 16);
    this.enabled = enabled;
    const left = this.waiting;
    if (enabled || left === 0) return 0;
    this.acknowledge(this.last);
    this.deleteAcknowledged();
    return left;
  }

  /** Records an upload, within the transaction of its batch. Not if it is metadata, or was on the disk before. */
  addStored({ key, name, storePath, directory, size, sha256, existed }: StoredFile): void {
    if (existed || isMetadata(name)) return;
    this.add(0, { key, name, storePath, directory }, size, sha256);
  }

  /**
   * Records a deletion, within the transaction of its batch. Not if it is of metadata.
   * @param row the record of the file; undefined if it has none
   */
  addDeleted({ key, name, storePath, directory }: RemovedFile, row: FileRow | undefined): void {
    if (isMetadata(name)) return;
    this.add(1, { key, name, storePath, directory }, row ? sizeOf(row) : null, row ? row.sha256 : null);
  }

  private add(
    deleted: 0 | 1,
    { key, name, storePath, directory }: FileLocation & Pick<FileRecord, 'key'>,
    size: number | null,
    sha256: Buffer | null,
  ): void {
    const number = this.last + 1;
    const place = (storePath << 16) | directory;
    this.insert.run(number, this.epoch, Date.now(), deleted, key, place, tailOf(name, key), size, sha256);
    this.last = number;
  }

  /** Resets the last number after the transaction of the later entries failed. */
  rollBackTo(last: number): void {
    this.last = last;
  }

  /** Marks all entries as durable. */
  publish(): void {
    if (this.published === this.last) return;
    this.published = this.last;
    this.listener?.();
  }

  /** Sets the function that is called whenever more entries are durable. It must not throw. */
  onPublish(listener: (() => void) | undefined): void {
    this.listener = listener;
  }

  /** The first durable entries that are not acknowledged, oldest first, and the number up to which these are all. */
  read(limit: number): { entries: OutboxEntry[]; upTo: number } {
    const { published } = this;
    const entries = this.select.all(this.acknowledged, published, limit).map(toEntry);
    const upTo = entries.length < limit ? published : (entries.at(-1)?.number ?? published);
    return { entries, upTo };
  }

  /** Marks entries as sent, in memory; see `deleteAcknowledged`. */
  acknowledge(upTo: number): void {
    this.acknowledged = Math.max(this.acknowledged, upTo);
  }

  /**
   * Deletes the acknowledged entries. It is not synced: after a power cut, entries may be there again. Throws the error of SQLite.
   */
  deleteAcknowledged(): void {
    const { acknowledged } = this;
    if (this.deleted === acknowledged) return;
    this.delete.run(acknowledged);
    this.deleted = acknowledged;
  }

  /** Acknowledges the oldest entries that exceed `limit` without their being sent, and returns how many these are. */
  dropBeyond(limit: number): number {
    const from = this.acknowledged;
    this.acknowledge(this.published - limit);
    return this.acknowledged - from;
  }

  /** Number of durable entries that are not acknowledged. */
  get waiting(): number {
    return this.published - this.acknowledged;
  }

  /** When the oldest of them was recorded, in milliseconds since 1970; undefined if there is none. */
  get oldest(): number | undefined {
    return this.waiting === 0 ? undefined : this.selectTime.get(this.acknowledged, this.published)?.time;
  }
}
