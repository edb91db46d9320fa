import Database from 'better-sqlite3';

/** The store paths that the index knows, by their numbers: which disk was which at the last start. */
export class KnownStorePaths {
  constructor(private readonly database: Database.Database) {}

  /** The identity of a store path and the directory that it last was; undefined when the path is new to the index. */
  find(number: number): { identity: string; root: string } | undefined {
    const select = this.database.prepare<[number], { identity: string; root: string }>(
      'SELECT identity, root FROM store_path WHERE number = ?',
    );
    return select.get(number);
  }

  /** All of them, by number. */
  all(): { number: number; identity: string; root: string }[] {
    return this.database
      .prepare<[], { number: number; identity: string; root: string }>('SELECT * FROM store_path ORDER BY number')
      .all();
  }

  /** Whether the index knows of files or of unfinished uploads there. Reads all of it where it does not. */
  isUsed(number: number): boolean {
    const select = this.database.prepare<[number, number, number], unknown>(
      `SELECT 1 FROM file WHERE place >> 16 = ? UNION ALL SELECT 1 FROM missing WHERE place >> 16 = ?
       UNION ALL SELECT 1 FROM upload WHERE storePath = ? AND file IS NULL LIMIT 1`,
    );
    return select.get(number, number, number) !== undefined;
  }

  /** It is no store path any more. */
  forget(number: number): void {
    this.database.prepare('DELETE FROM store_path WHERE number = ?').run(number);
    this.database.prepare('DELETE FROM deferred WHERE storePath = ?').run(number);
  }

  remember(number: number, identity: string, root: string): void {
    this.database.prepare('INSERT OR REPLACE INTO store_path VALUES (?, ?, ?)').run(number, identity, root);
  }
}

/** The numbers of the store paths that an index knows; none where it is not there, or cannot be read. Changes nothing. */
export function storePathsKnownTo(file: string): ReadonlySet<number> {
  let database: Database.Database | undefined;
  try {
    database = new Database(file, { readonly: true, fileMustExist: true });
    return new Set(new KnownStorePaths(database).all().map(({ number }) => number));
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
    return new Set(); // lost or damaged, which is what a rebuild is for
  } finally {
    database?.close();
  }
}
