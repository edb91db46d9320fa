import { join } from 'node:path';
import Database from 'better-sqlite3';

/** The file whose lock says that a process writes to a data directory. */
export function lockFile(data: string): string {
  return join(data, 'lock');
}

/**
 * Makes sure that one process at a time writes to a data directory: an exclusive lock on a small SQLite file, which
 * the system gives back when the process ends, however it ends. Returns the function that gives it back earlier.
 * Waits a few seconds for a process that is just ending; throws when another process holds it longer.
 */
export function lockDataDirectory(data: string): () => void {
  const database = new Database(lockFile(data), { timeout: 5000 });
  try {
    database.pragma('locking_mode = EXCLUSIVE');
    database.exec('BEGIN EXCLUSIVE; COMMIT');
  } catch (error) {
    database.close();
    if (error instanceof Database.SqliteError && error.code === 'SQLITE_BUSY') {
      throw new Error(`another fidfs is at work on ${data}; stop it first`, { cause: error });
    }
    if (error instanceof Database.SqliteError && error.code === 'SQLITE_NOTADB') {
      // It is empty, but for what a disk that rots has put there.
      throw new Error(`${lockFile(data)} is damaged; delete it, nothing is in it`, { cause: error });
    }
    throw error;
  }
  return () => database.close();
}
