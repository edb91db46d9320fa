import Database from 'better-sqlite3';

/** The store paths as they were at the last start, by number. */
export class KnownStorePaths {
  constructor(private readonly database: Database.Database) {}

  /** Identity and last directory of a store path; undefined if it is not in the index. */
  find(number: number): { identity: string; root: string } | undefined {
    const select = this.database.prepare<[number], { identity: string; root: string }>(
      'SELECT identity, root FROM store_path WHERE number = ?',
    );
    return select.get(number);
  }

  /** All store paths, ordered by number. */
  all(): { number: number; identity: string; root: string }[] {
    return this.database
      .prepare<[], { number: number; identity: string; root: string }>('SELECT * FROM store_path ORDER BY number')
      .all();
  }

  /** Whether the index has files or unfinished uploads on a store path. If not, this reads the whole index. */
  isUsed(number: number): boolean {
    const select = this.database.prepare<[number, number, number], unknown>(
      `SELECT 1 FROM file WHERE place >> 16 = ? UNION ALL SELECT 1 FROM missing WHERE place >> 16 = ?
       UNION ALL SELECT 1 FROM upload WHERE storePath = ? AND file IS NULL LIMIT 1`,
    );
    return select.get(number, number, number) !== undefined;
  }

  /** Removes a store path and its deferred deletions. */
  forget(number: number): void {
    this.database.prepare('DELETE FROM store_path WHERE number = ?').run(number);
    this.database.prepare('DELETE FROM deferred WHERE storePath = ?').run(number);
  }

  remember(number: number, identity: string, root: string): void {
    this.database.prepare('INSERT OR REPLACE INTO store_path VALUES (?, ?, ?)').run(number, identity, root);
  }
}

/** Numbers of the store paths in an index; empty if the file does not exist or cannot be read. Opens it read-only. */
export function storePathsKnownTo(file: string): ReadonlySet<number> {
  let database: Database.Database | undefined;
  try {
    database = new Database(file, { readonly: true, fileMustExist: true });
    return new Set(new KnownStorePaths(database).all().map(({ number }) => number));
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
    return new Set(); // lost or damaged; the caller rebuilds it
  } finally {
    database?.close();
  }
}
