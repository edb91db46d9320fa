import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { WrongStorePath } from '../store/errors.js';

/** Path of the lock file of a data directory or a store path. */
export function lockFile(directory: string): string {
  return join(directory, 'lock');
}

/**
 * Locks a data directory, so that only one process writes to it. Returns the function that releases the lock. Waits up to 5
 * seconds for another process to end; throws if it holds the lock longer.
 */
export function lockDataDirectory(data: string): () => void {
  return lock(lockFile(data), (options) => new Error(`another fidfs process uses ${data}; stop it first`, options));
}

/**
 * Locks the file of named keys of a data directory, which is independent of its node: between reading and replacing it nobody
 * else does. As `lockDataDirectory`.
 */
export function lockKeys(data: string): () => void {
  const taken = (options: ErrorOptions) => new Error(`another fidfs changes the keys in ${data}; try again`, options);
  return lock(join(data, 'keys.lock'), taken);
}

/** Locks the files of an export or an import. As `lockDataDirectory`. */
export function lockArchive(file: string): () => void {
  try {
    return lock(file, (options) => new Error(`another fidfs has locked ${file}; try again later`, options));
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
    throw new Error(`${file} cannot be written: ${error.message}`, { cause: error });
  }
}

/** Like `lockDataDirectory`, for a store path, which another node may have in its settings too. Throws WrongStorePath. */
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
 * Takes an exclusive lock on an empty SQLite file. The kernel releases it when the process ends, even after a crash.
 * @param taken creates the error to throw if another process holds the lock
 */
function lock(file: string, taken: (options: ErrorOptions) => Error): () => void {
  const database = new Database(file, { timeout: 5000 });
  try {
    database.pragma('locking_mode = EXCLUSIVE');
    database.pragma('journal_mode = MEMORY'); // a journal file could not be created on a full disk, and nothing is written
    database.exec('BEGIN EXCLUSIVE; COMMIT');
  } catch (error) {
    database.close();
    if (error instanceof Database.SqliteError && error.code === 'SQLITE_BUSY') {
      throw taken({ cause: error });
    }
    if (error instanceof Database.SqliteError && error.code === 'SQLITE_NOTADB') {
      // The file is always empty, so any content is corruption.
      throw new Error(`${file} is damaged; delete it, nothing is in it`, { cause: error });
    }
    throw error;
  }
  return () => database.close();
}

/** The id of the process that holds a lock on a file; undefined if unknown, for example if it runs in another container. */
function holderOf(file: string): number | undefined {
  try {
    const { dev, ino } = statSync(file);
    const hexadecimal = (number: number) => number.toString(16).padStart(2, '0');
    // /proc/locks has major and minor number of the device in hexadecimal; `dev` of stat combines both.
    const [major, minor] = [(dev >>> 8) & 0xfff, (dev & 0xff) | ((dev >>> 12) & 0xfff00)];
    const inode = `${hexadecimal(major)}:${hexadecimal(minor)}:${ino}`;
    const locks = readFileSync('/proc/locks', 'utf8').split('\n');
    const [, , , , pid] = locks.map((line) => line.split(/\s+/)).find((fields) => fields[5] === inode) ?? [];
    return Number(pid) > 0 ? Number(pid) : undefined;
  } catch {
    return undefined; // no /proc
  }
}
