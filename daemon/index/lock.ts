import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { WrongStorePath } from '../store/errors.js';

/** The file whose lock says that a process writes to a data directory, or to a store path. */
export function lockFile(directory: string): string {
  return join(directory, 'lock');
}

/**
 * Makes sure that one process at a time writes to a data directory. Returns the function that gives the lock back before
 * the process ends. Waits a few seconds for a process that is just ending; throws when another process holds it longer.
 */
export function lockDataDirectory(data: string): () => void {
  return lock(lockFile(data), (options) => new Error(`another fidfs is at work on ${data}; stop it first`, options));
}

/** As `lockDataDirectory`, for a store path, which nodes with other data directories may name too. Throws WrongStorePath. */
export function lockStorePath(root: string): () => void {
  const file = lockFile(root);
  return lock(file, (options) => {
    const holder = holderOf(file);
    const who = holder === undefined ? 'another fidfs' : `another fidfs (process ${holder})`;
    const message = `the store path ${root} is in use by ${who}; give each node store paths of its own in "storePaths" (FIDFS_STORE_PATHS), or stop that one first`;
    return new WrongStorePath(message, options);
  });
}

/**
 * Takes an exclusive lock on a small SQLite file, which the system gives back when the process ends, however it ends.
 * @param taken makes the error for when another process holds it
 */
function lock(file: string, taken: (options: ErrorOptions) => Error): () => void {
  const database = new Database(file, { timeout: 5000 });
  try {
    database.pragma('locking_mode = EXCLUSIVE');
    database.pragma('journal_mode = MEMORY'); // nothing is written: a journal would be one more file, on a full disk too
    database.exec('BEGIN EXCLUSIVE; COMMIT');
  } catch (error) {
    database.close();
    if (error instanceof Database.SqliteError && error.code === 'SQLITE_BUSY') {
      throw taken({ cause: error });
    }
    if (error instanceof Database.SqliteError && error.code === 'SQLITE_NOTADB') {
      // It is empty, but for what a disk that rots has put there.
      throw new Error(`${file} is damaged; delete it, nothing is in it`, { cause: error });
    }
    throw error;
  }
  return () => database.close();
}

/** The process that holds a lock on a file; undefined where the system does not tell, as of a process in another container. */
function holderOf(file: string): number | undefined {
  try {
    const { dev, ino } = statSync(file);
    const hexadecimal = (number: number) => number.toString(16).padStart(2, '0');
    // The device as the kernel writes it, from the number that stat has of it.
    const [major, minor] = [(dev >>> 8) & 0xfff, (dev & 0xff) | ((dev >>> 12) & 0xfff00)];
    const inode = `${hexadecimal(major)}:${hexadecimal(minor)}:${ino}`;
    const locks = readFileSync('/proc/locks', 'utf8').split('\n');
    const [, , , , pid] = locks.map((line) => line.split(/\s+/)).find((fields) => fields[5] === inode) ?? [];
    return Number(pid) > 0 ? Number(pid) : undefined;
  } catch {
    return undefined; // no /proc here: the message goes without it
  }
}
