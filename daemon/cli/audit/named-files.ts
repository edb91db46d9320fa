import type Database from 'better-sqlite3';
import { KEY_CHARACTERS } from '../../store/names.js';
import { openTemporary, whileRoom } from '../temporary-database.js';

/** A file that nobody names. `size` is in bytes, `created` in ISO 8601. */
export interface UnnamedFile {
  id: string;
  size: number;
  created: string;
}

/**
 * The files that a list names, and those that it does not name, on the disk: memory does not grow with their number.
 */
export class NamedFiles {
  private readonly database: Database.Database;
  private readonly insert: Database.Statement<[string]>;
  private find!: Database.Statement<[string]>;
  private family!: Database.Statement<[string, string]>;
  private insertUnnamed!: Database.Statement<[string, number, string]>;

  /** Throws UsedWrongly if it cannot write into the directory. */
  constructor(private readonly directory: string) {
    this.database = openTemporary(directory);
    this.database.exec('CREATE TABLE read (entry TEXT NOT NULL); BEGIN');
    this.insert = this.database.prepare('INSERT INTO read VALUES (?)');
  }

  /** Takes in an ID of the list. */
  add(id: string): void {
    whileRoom(this.directory, () => this.insert.run(entryOf(id)));
  }

  /** Ends the list: sorts it at once, which is faster than inserting each ID into its place. Returns the number of different IDs. */
  finish(): number {
    return whileRoom(this.directory, () => {
      this.database.exec(`
        CREATE TABLE named (entry TEXT PRIMARY KEY, found INTEGER NOT NULL) WITHOUT ROWID;
        INSERT OR IGNORE INTO named SELECT entry, 0 FROM read ORDER BY entry;
        DROP TABLE read;
        CREATE TABLE unnamed (id TEXT NOT NULL, size INTEGER NOT NULL, created TEXT NOT NULL);
        COMMIT`);
      this.find = this.database.prepare('UPDATE named SET found = 1 WHERE entry = ?');
      this.family = this.database.prepare('SELECT 1 FROM named WHERE entry >= ? AND entry < ? LIMIT 1');
      this.insertUnnamed = this.database.prepare('INSERT INTO unnamed VALUES (?, ?, ?)');
      return this.database.prepare<[], number>('SELECT count(*) FROM named').pluck().get() ?? 0;
    });
  }

  /** Whether the list names a file of the group. */
  namesGroup(group: string): boolean {
    return this.family.get(`${group}/`, `${group}0`) !== undefined; // 0 follows the slash
  }

  /** Runs `action` in one transaction. */
  atOnce<T>(action: () => T): T {
    return whileRoom(this.directory, () => this.database.transaction(action)());
  }

  /** Notes that a file is stored. Returns whether the list names it. */
  markFound(id: string): boolean {
    return this.find.run(entryOf(id)).changes > 0;
  }

  /** Whether the list names a file, a slave of it, or the file that it is a slave of: they share the first part of their names. */
  namesFamilyOf(id: string): boolean {
    const entry = entryOf(id);
    const shared = entry.slice(0, entry.indexOf('/') + 1 + KEY_CHARACTERS);
    return this.family.get(shared, `${shared}\u007f`) !== undefined;
  }

  addUnnamed({ id, size, created }: UnnamedFile): void {
    this.insertUnnamed.run(id, size, created);
  }

  /** The named files that were not found so far, in batches. */
  *notFound(limit: number): Generator<string[]> {
    const next = this.database
      .prepare<[string, number], string>('SELECT entry FROM named WHERE entry > ? AND found = 0 ORDER BY entry LIMIT ?')
      .pluck();
    for (let last = ''; ; ) {
      const entries = next.all(last, limit);
      if (entries.length === 0) return;
      last = entries.at(-1) ?? '';
      yield entries.map(idOf);
    }
  }

  /** The unnamed files, in batches, in the order in which they were added. */
  *unnamed(limit: number): Generator<UnnamedFile[]> {
    const next = this.database.prepare<[number, number], UnnamedFile & { rowid: number }>(
      'SELECT rowid, id, size, created FROM unnamed WHERE rowid > ? ORDER BY rowid LIMIT ?',
    );
    for (let last = 0; ; ) {
      const files = next.all(last, limit);
      if (files.length === 0) return;
      last = files.at(-1)?.rowid ?? 0;
      yield files;
    }
  }

  close(): void {
    this.database.close();
  }
}

/** `group1/<name> M00/00/00`: in their order, files that share the first part of their names are adjacent. */
function entryOf(id: string): string {
  const [group, storePath, one, two, name] = id.split('/');
  return `${group}/${name} ${storePath}/${one}/${two}`;
}

function idOf(entry: string): string {
  const [group, name, storePath, one, two] = entry.split(/[/ ]/);
  return [group, storePath, one, two, name].join('/');
}
