import { randomBytes } from 'node:crypto';
import type Database from 'better-sqlite3';

/** Epochs that are kept: a follower that was away for more starts than that compares everything. */
const KEPT = 1000;
const FORGET = 'DELETE FROM epoch WHERE position <= (SELECT max(position) FROM epoch) - ?';

/** An epoch, as the index keeps it. */
interface EpochRow {
  id: string;
  /** The log's last sequence number when it began: the end of the epoch before. */
  start: number;
}

/**
 * The epochs of this node's log. Each start of the daemon begins one, so that a cursor says not only how far a follower
 * came, but in which run of this node; and where each earlier run ended is known. A cursor beyond the end of its run, or
 * of a run that this index does not know although it is older, belongs to a history that this node has lost: its data
 * directory was put back to an older copy.
 *
 * The id begins with the time at which the epoch began, in milliseconds, in hexadecimal digits; never less than that of
 * the epoch before.
 */
export class Epochs {
  private readonly ends = new Map<string, number>();
  private currentId = '';
  /** When the oldest of them began, in milliseconds since 1970. */
  private oldest = Number.POSITIVE_INFINITY;

  constructor(private readonly database: Database.Database) {
    this.read();
  }

  /** The id of the epoch that is under way. */
  get current(): string {
    return this.currentId;
  }

  /**
   * Begins an epoch after a sequence number of the log. Durable after the next sync.
   * @param continues whether the epochs before it stay known; else no cursor that was made so far is worth anything
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

  /** The sequence number at which an epoch ended: infinite for the one under way, undefined for one that is not known. */
  endOf(id: string): number | undefined {
    return this.ends.get(id);
  }

  /** Whether an epoch that is not known began later than one that is: then this index should know it. */
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

/** When an epoch began, in milliseconds since 1970; NaN for the ids that earlier versions made. */
function timeOf(id: string): number {
  return /^[0-9a-f]{12}-/.test(id) ? Number.parseInt(id.slice(0, 12), 16) : Number.NaN;
}
