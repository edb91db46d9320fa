import type Database from 'better-sqlite3';

/** The store paths that the index knows, by their numbers: which disk was which at the last start. */
export class KnownStorePaths {
  constructor(private readonly database: Database.Database) {}

  /** The identity of a store path; undefined when the path is new to the index. */
  identityOf(number: number): string | undefined {
    const select = this.database.prepare<[number], { identity: string }>('SELECT * FROM store_path WHERE number = ?');
    return select.get(number)?.identity;
  }

  /** All of them, by number. */
  all(): { number: number; root: string }[] {
    return this.database
      .prepare<[], { number: number; root: string }>('SELECT * FROM store_path ORDER BY number')
      .all();
  }

  remember(number: number, identity: string, root: string): void {
    this.database.prepare('INSERT OR REPLACE INTO store_path VALUES (?, ?, ?)').run(number, identity, root);
  }
}
