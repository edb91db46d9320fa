import { randomBytes } from 'node:crypto';
import type Database from 'better-sqlite3';

/** Number of earlier epochs kept. A follower whose cursor is of an older one needs a round of anti-entropy. */
const KEPT = 1000;
const FORGET = 'DELETE FROM epoch WHERE position <= (SELECT max(position) FROM epoch) - ?';

/** A row of the table `epoch`. */
interface EpochRow {
  id: string;
  /** The log's last sequence number when the epoch began, which is the end of the epoch before. */
  start: number;
}

/**
 * The epochs of this node's log. Each start of the daemon begins one. A cursor contains an epoch and a sequence number, and
 * the index records the end of each earlier epoch. Two kinds of cursors prove that this node has lost entries, because its
 * data directory was restored to an older copy: a cursor beyond the end of its epoch, and a cursor of an unknown epoch that
 * began after the oldest epoch in the index.
 *
 * An id begins with the time at which the epoch began: milliseconds since 1970 as 12 hexadecimal digits, always greater than
 * in the epoch before.
 */
export class Epochs {
  private readonly ends = new Map<string, number>();
  private currentId = '';
  /** When the oldest known epoch began, in milliseconds since 1970. */
  private oldest = Number.POSITIVE_INFINITY;

  constructor(private readonly database: Database.Database) {
    this.read();
  }

  /** The id of the current epoch; empty if there is none. */
  get current(): string {
    return this.currentId;
  }

  /**
   * Begins an epoch. Durable after the next sync.
   * @param start the log's last sequence number
   * @param continues whether to keep the earlier epochs; if false, all earlier cursors become invalid
   */
  begin(start: number, continues: boolean): void {
    const time = Math.max(Date.now(), timeOf(this.currentId) + 1 || 0);
    const id = `${time.toString(16).padStart(12, '0')}-${randomBytes(8).toString('hex')}`;
    const write = this.database.transaction(() => {
      const forgotten = continues ? KEPT : 0;
      this.database.prepare<[number]>(FORGET).run(forgotten);
      this.database.prepare<[string, number]>('INSERT INTO epoch (id, start) VALUES (?, ?)').run(id, start);
    });
    write();
    this.currentId = id;
    this.read();
  }

  /** The sequence number at which an epoch ended: infinity for the current epoch, undefined for an unknown one. */
  endOf(id: string): number | undefined {
    return this.ends.get(id);
  }

  /** Whether an epoch is unknown although it began after the oldest known one, which means that this index has lost it. */
  isLost(id: string): boolean {
    return !this.ends.has(id) && timeOf(id) > this.oldest;
  }

  private read(): void {
    const rows = this.database.prepare<[], EpochRow>('SELECT id, start FROM epoch ORDER BY position').all();
    this.ends.clear();
    for (const [position, { id }] of rows.entries())
      this.ends.set(id, rows[position + 1]?.start ?? Number.POSITIVE_INFINITY);
    this.currentId = rows.at(-1)?.id ?? '';
    this.oldest = Math.min(...rows.map(({ id }) => timeOf(id)).filter((time) => !Number.isNaN(time)));
  }
}

/** When an epoch began, in milliseconds since 1970; NaN for ids of earlier versions, which contain no time. */
function timeOf(id: string): number {
  return /^[0-9a-f]{12}-/.test(id) ? Number.parseInt(id.slice(0, 12), 16) : Number.NaN;
}
