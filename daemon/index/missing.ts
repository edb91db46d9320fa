import type Database from 'better-sqlite3';
import type { FileRecord } from '../store/records.js';
import { type FileRow, type FileValues, toRecord, toValues } from './file-row.js';

/** Number of failed tries after which a file is set aside: only the next round of anti-entropy tries it again. */
export const MAX_TRIES = 8;
/** Number of due files that `due` filters at most. */
const LOOKED_AT = 1000;
const FIRST_PAUSE_MILLISECONDS = 100;
export const POSTPONED_MILLISECONDS = 2000;
/** The longest pause. A file that is due later was recorded while the clock was wrong. */
export const LONGEST_PAUSE_MILLISECONDS = FIRST_PAUSE_MILLISECONDS * 2 ** MAX_TRIES;

/** A file that this node should hold but does not (yet). */
export interface MissingFile extends FileRecord {
  /** The peer whose log contains it, and its sequence number there; 0 and 0 if it was not found by the log. */
  peer: number;
  sequence: number;
  /** Number of failed tries. */
  tries: number;
  /** Human-readable reason why it is missing. */
  reason: string;
}

interface MissingRow extends FileRow {
  peer: number;
  number: number;
  tries: number;
  reason: string;
}

/**
 * Milliseconds since 1970, not affected by changes of the clock since the process started. Nearly comparable with times that
 * an earlier process recorded.
 */
function now(): number {
  return Math.floor(performance.timeOrigin + performance.now());
}

function toMissing(row: MissingRow): MissingFile {
  const { peer, number: sequence, tries, reason } = row;
  return { ...toRecord(row), peer, sequence, tries, reason };
}

/** Files known to be missing on this node: large files not fetched yet, files whose fetch failed, and corrupt files. */
export class Missing {
  private readonly insert;
  private readonly replace;
  private readonly update;
  private readonly delete;
  private readonly selectOne;
  private readonly selectDue;
  private readonly selectNeverDue;
  private readonly selectSequences;
  private readonly forgetPeer;
  private readonly selectAside;
  private readonly selectOthers;
  private readonly countRows;

  constructor(database: Database.Database) {
    this.insert = database.prepare<[...FileValues, number, number, number, string]>(
      `INSERT INTO missing (key, place, tail, sha256, size, version, peer, number, tries, due, reason)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)
       ON CONFLICT (key) DO UPDATE SET peer = max(peer, excluded.peer), number = max(number, excluded.number),
         tries = 0, due = excluded.due`,
    );
    // As \`supersedes\` in store/records.ts.
    this.replace = database.prepare<{ key: Buffer; size: number; version: number; sha256: Buffer }>(
      `UPDATE missing SET size = @size, version = @version, sha256 = @sha256
       WHERE key = @key AND (version < @version OR (version = @version AND sha256 < @sha256))`,
    );
    this.update = database.prepare<[number, number, string, Buffer]>(
      'UPDATE missing SET tries = ?, due = ?, reason = ? WHERE key = ?',
    );
    this.delete = database.prepare<[Buffer]>('DELETE FROM missing WHERE key = ?');
    this.selectOne = database.prepare<[Buffer], MissingRow>('SELECT * FROM missing WHERE key = ?');
    this.selectDue = database.prepare<[number, number], MissingRow>(
      `SELECT * FROM missing WHERE due <= ? AND tries < ${MAX_TRIES} ORDER BY due LIMIT ?`,
    );
    this.selectNeverDue = database.prepare<[number, number], MissingRow>(
      `SELECT * FROM missing WHERE due > ? AND tries < ${MAX_TRIES} LIMIT ?`,
    );
    this.selectSequences = database.prepare<[number], { number: number }>('SELECT number FROM missing WHERE peer = ?');
    this.forgetPeer = database.prepare<[number]>('UPDATE missing SET peer = 0, number = 0 WHERE peer = ?');
    this.selectAside = database.prepare<[], MissingRow>(`SELECT * FROM missing WHERE tries >= ${MAX_TRIES} LIMIT 100`);
    this.selectOthers = database.prepare<[Buffer, Buffer], MissingRow>(
      'SELECT * FROM missing WHERE size IS NOT NULL AND key BETWEEN ? AND ?',
    );
    this.countRows = database.prepare<[], { all: number; aside: number | null; pending: number | null }>(
      `SELECT count(*) AS "all", sum(tries >= ${MAX_TRIES}) AS aside, sum(number = 0 AND tries = 0) AS pending FROM missing`,
    );
  }

  /** Number of missing files, of those set aside, and of those not in the log of a peer and not tried yet (`pending`). */
  get totals(): { all: number; aside: number; pending: number } {
    const { all = 0, aside, pending } = this.countRows.get() ?? {};
    return { all, aside: aside ?? 0, pending: pending ?? 0 };
  }

  /** Adds a file to fetch, due immediately. If it is already missing, resets its tries. */
  add(file: FileRecord, { peer = 0, sequence = 0, reason = 'not fetched yet' } = {}): void {
    const { key, size, version, sha256 } = file;
    this.insert.run(...toValues(file), peer, sequence, now(), reason);
    if (version !== undefined) this.replace.run({ key, size, version, sha256 });
  }

  /** Records a failed try; the pause doubles with each. Returns whether the file is now set aside. */
  failed(file: MissingFile, reason: string): boolean {
    const tries = file.tries + 1;
    this.update.run(tries, now() + FIRST_PAUSE_MILLISECONDS * 2 ** file.tries, reason, file.key);
    return tries >= MAX_TRIES;
  }

  /**
   * Postpones a file because no node could be asked, or there is no space for it. This does not count as a failed try.
   * @param pause in milliseconds, at most `LONGEST_PAUSE_MILLISECONDS`
   */
  postponed(file: MissingFile, reason: string, pause: number = POSTPONED_MILLISECONDS): void {
    this.update.run(file.tries, now() + pause, reason, file.key);
  }

  /** Removes a file that was fetched or deleted. */
  remove(key: Buffer): void {
    this.delete.run(key);
  }

  find(key: Buffer): MissingFile | undefined {
    const row = this.selectOne.get(key);
    return row && toMissing(row);
  }

  /** Files whose size is not in their name, with keys between these. */
  others(first: Buffer, last: Buffer): MissingFile[] {
    return this.selectOthers.all(first, last).map(toMissing);
  }

  /** Files that are due and for which `isWanted` is true, oldest first, at most `limit`. Filters at most `LOOKED_AT` files. */
  due(limit: number, isWanted: (file: MissingFile) => boolean = () => true): MissingFile[] {
    const time = now();
    const due: MissingFile[] = [];
    for (const [select, bound] of [
      [this.selectDue, time],
      [this.selectNeverDue, time + LONGEST_PAUSE_MILLISECONDS],
    ] as const) {
      for (const row of select.iterate(bound, LOOKED_AT)) {
        if (due.length === limit) return due;
        const file = toMissing(row);
        if (isWanted(file)) due.push(file);
      }
    }
    return due;
  }

  /** Sequence numbers, in a peer's log, of the missing files. */
  sequencesOf(peer: number): number[] {
    return this.selectSequences.all(peer).map(({ number }) => number);
  }

  /** Clears the sequence numbers of a peer's log, to be called when the cursor moves to another epoch. */
  forgetSequences(peer: number): void {
    this.forgetPeer.run(peer);
  }

  /** Files that are set aside, at most 100. */
  setAside(): MissingFile[] {
    return this.selectAside.all().map(toMissing);
  }
}
