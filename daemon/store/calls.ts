import * as fs from 'node:fs';
import { release } from 'node:os';
import { getSystemErrorName, promisify } from 'node:util';
import koffi from 'koffi';
import { errorCode } from './errors.js';

/**
 * The system calls by which the store changes a disk. They can be replaced when a store is opened: tests inject failures and
 * short writes.
 */
export interface Calls {
  openSync(path: string, flags: string | number, mode?: number): number;
  closeSync(descriptor: number): void;
  close(descriptor: number): Promise<void>;
  /** Returns the number of bytes written, which may be less than `length`. Without `position` writes at the file's offset. */
  writeSync(descriptor: number, bytes: Uint8Array, offset: number, length: number, position?: number): number;
  write(descriptor: number, bytes: Uint8Array, offset: number, length: number): Promise<{ bytesWritten: number }>;
  ftruncateSync(descriptor: number, length: number): void;
  futimesSync(descriptor: number, accessed: number, modified: number): void;
  truncateSync(path: string, length: number): void;
  utimesSync(path: string, accessed: number, modified: number): void;
  linkSync(existing: string, path: string): void;
  renameSync(path: string, target: string): void;
  /** Removes a file. A missing file is no error. */
  removeSync(path: string): void;
  mkdirSync(path: string): void;
  fsync(descriptor: number): Promise<void>;
  fdatasync(descriptor: number): Promise<void>;
  syncfs(descriptor: number): Promise<void>;
}

type SyncFileSystem = (descriptor: number, done: (error: Error | null, result: number) => void) => void;

/** Linux's syncfs. Undefined before Linux 5.8, where syncfs does not report write errors, and on other systems. */
const syncfs: SyncFileSystem | undefined = (() => {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  if (process.platform !== 'linux' || major < 5 || (major === 5 && minor < 8)) return undefined;
  return koffi.load('libc.so.6').func('int syncfs(int descriptor)').async as SyncFileSystem;
})();

/**
 * Whether the file system of an open directory is read-only. On such a file system syncfs does nothing and reports success,
 * even if a journal error made it read-only while writes were outstanding (ext4 up to Linux 6.11; later versions report EROFS).
 */
function isReadOnly(directory: number): boolean {
  try {
    fs.accessSync(`/proc/self/fd/${directory}`, fs.constants.W_OK);
    return false;
  } catch (error) {
    // Other errors do not show that writes were lost.
    return errorCode(error) === 'EROFS';
  }
}

/** Whether this system supports `sync: batch`. */
export const canSyncFileSystems = syncfs !== undefined;

/** The name of the error of an asynchronous call that failed; only in its callback, for which koffi keeps the call's errno. */
function callErrorName(): string {
  return getSystemErrorName(-koffi.errno());
}

/** The calls of the operating system itself. */
export const realCalls: Calls = {
  openSync: fs.openSync,
  closeSync: fs.closeSync,
  close: promisify(fs.close),
  writeSync: fs.writeSync,
  write: promisify(fs.write),
  ftruncateSync: fs.ftruncateSync,
  futimesSync: fs.futimesSync,
  truncateSync: fs.truncateSync,
  utimesSync: fs.utimesSync,
  linkSync: fs.linkSync,
  renameSync: fs.renameSync,
  removeSync: (path) => fs.rmSync(path, { force: true }),
  mkdirSync: (path) => void fs.mkdirSync(path),
  fsync: promisify(fs.fsync),
  fdatasync: promisify(fs.fdatasync),
  syncfs: (descriptor) =>
    new Promise((resolve, reject) => {
      if (!syncfs) throw new Error('syncfs is not available here; set sync to "file"');
      syncfs(descriptor, (error, result) => {
        if (error) reject(error);
        else if (result !== 0)
          reject(new Error(`syncfs failed with ${callErrorName()}; the kernel's log (dmesg) says why`));
        else if (isReadOnly(descriptor)) reject(new Error('the file system has become read-only; dmesg says why'));
        else resolve();
      });
    }),
};
