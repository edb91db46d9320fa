import type Database from 'better-sqlite3';
import type { FileRecord } from '../store/records.js';

/** After so many tries a file is set aside: only the next round of anti-entropy tries it again. */
export const MAX_TRIES = 8;
/** So many at most are looked at to find one that is wanted. */
const LOOKED_AT = 1000;
const FIRST_PAUSE_MILLISECONDS = 100;
const POSTPONED_MILLISECONDS = 2000;
/** No pause is longer: what is due later was written down when the clock was wrong. */
const LONGEST_PAUSE_MILLISECONDS = FIRST_PAUSE_MILLISECONDS * 2 ** MAX_TRIES;

/** A file that should be here and is not (yet). */
export interface MissingFile extends FileRecord {
  /** The peer whose log told of it, and its sequence number there; 0 and 0 when it was found otherwise. */
  peer: number;
  sequence: number;
  tries: number;
  /** Why it is not here, for people. */
  reason: string;
}

interface MissingRow {
  key: Buffer;
  place: number;
  tail: string;
  sha256: Buffer;
  peer: number;
  number: number;
  tries: number;
  reason: string;
}

/**
 * Milliseconds since 1970 by the clock as it stood when this process began: nobody sets it while it runs, and what an
 * earlier process wrote down is nearly comparable.
 */
function now(): number {
  return Math.floor(performance.timeOrigin + performance.now());
}

function toMissing({ key, place, tail, sha256, peer, number: sequence, tries, reason }: MissingRow): MissingFile {
  const name = key.toString('base64url') + tail;
  return { key, name, storePath: place >>> 16, directory: place & 0xffff, sha256, peer, sequence, tries, reason };
}

/** What the index knows to be missing on the disk: large files under way, those that failed, those found bad. */
export class Missing {
  private readonly insert;
  private readonly update;
  private readonly delete;
  private readonly selectOne;
  private readonly selectDue;
  private readonly selectNeverDue;
  private readonly selectSequences;
  private readonly forgetPeer;
  private readonly selectAside;
  private readonly countRows;

  constructor(database: Database.Database) {
    this.insert = database.prepare<[Buffer, number, string, Buffer, number, number, number, string]>(
      `INSERT INTO missing VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)
       ON CONFLICT (key) DO UPDATE SET peer = max(peer, excluded.peer), number = max(number, excluded.number),
         tries = 0, due = excluded.due`,
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
    this.countRows = database.prepare<[], { all: number; aside: number | null; pending: number | null }>(
      `SELECT count(*) AS "all", sum(tries >= ${MAX_TRIES}) AS aside, sum(number = 0 AND tries = 0) AS pending FROM missing`,
    );
  }

  /** How many there are, how many of those are set aside, and how many are to come although no log told of them. */
  get totals(): { all: number; aside: number; pending: number } {
    const { all = 0, aside, pending } = this.countRows.get() ?? {};
    return { all, aside: aside ?? 0, pending: pending ?? 0 };
  }

  /** Notes a file that is to be fetched, or is to be tried again if it is known. */
  add(file: FileRecord, { peer = 0, sequence = 0, reason = 'not fetched yet' } = {}): void {
    const { key, storePath, directory, name, sha256 } = file;
    const place = (storePath << 16) | directory;
    this.insert.run(key, place, name.slice(27), sha256, peer, sequence, now(), reason);
  }

  /** A try failed: the next one comes after a growing pause, or none. Returns whether the file is set aside now. */
  failed(file: MissingFile, reason: string): boolean {
    const tries = file.tries + 1;
    this.update.run(tries, now() + FIRST_PAUSE_MILLISECONDS * 2 ** file.tries, reason, file.key);
    return tries >= MAX_TRIES;
  }

  /** Nobody could be asked: that is tried for ever. */
  postponed(file: MissingFile, reason: string): void {
    this.update.run(file.tries, now() + POSTPONED_MILLISECONDS, reason, file.key);
  }

  /** It is here, or it is not wanted any more. */
  remove(key: Buffer): void {
    this.delete.run(key);
  }

  find(key: Buffer): MissingFile | undefined {
    const row = this.selectOne.get(key);
    return row && toMissing(row);
  }

  /** Those whose time has come and that are wanted, the longest waiting first; of very many that are not, some are looked at. */
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

  /** The sequence numbers in a peer's log of the files that this node does not hold. */
  sequencesOf(peer: number): number[] {
    return this.selectSequences.all(peer).map(({ number }) => number);
  }

  /** The sequence numbers in a peer's log mean other entries from now on. */
  forgetSequences(peer: number): void {
    this.forgetPeer.run(peer);
  }

  /** Some of those that were set aside. */
  setAside(): MissingFile[] {
    return this.selectAside.all().map(toMissing);
  }
}
