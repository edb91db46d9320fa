import { accessSync, constants, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { CommandFailed, UsedWrongly } from './errors.js';

/** Kibibytes of the database that are kept in memory. */
const CACHE_KIB = 32_768;

/**
 * Opens an empty database for what may not fit into memory. It has no name in the file system, and is gone when the process ends,
 * however it ends. Throws UsedWrongly if the directory cannot be written.
 */
export function openTemporary(directory: string): Database.Database {
  assertWritable(directory);
  process.env.SQLITE_TMPDIR = directory; // read by SQLite when it opens its first temporary file
  const database = new Database('');
  database.pragma('journal_mode = OFF');
  database.pragma('synchronous = OFF');
  database.pragma(`cache_size = -${CACHE_KIB}`);
  return database;
}

/** Runs `action`; says what to do if the disk of the temporary database is full. */
export function whileRoom<T>(directory: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if ((error as { code?: string }).code !== 'SQLITE_FULL') throw error;
    const words = `${directory} has no space left, and the list is sorted there; name another directory by --temp`;
    throw new CommandFailed(words, { cause: error });
  }
}

/** SQLite would silently take another directory. */
function assertWritable(directory: string): void {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    if (statSync(directory).isDirectory()) return;
  } catch (error) {
    throw new UsedWrongly(`--temp: ${(error as Error).message}`);
  }
  throw new UsedWrongly(`--temp: ${directory} is not a directory`);
}
