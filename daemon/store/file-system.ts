import { fsync, openSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { promisify } from 'node:util';
import koffi from 'koffi';
import { StoreError } from './errors.js';

const fsyncAsync = promisify(fsync);

/** What makes a batch durable: one sync of its file systems, one of each file and directory, or nothing. */
export type SyncMode = 'batch' | 'file' | 'off';

type SyncFileSystem = (descriptor: number, done: (error: Error | null, result: number) => void) => void;

/** Linux's syncfs, which reports errors from 5.8 on. Undefined where there is none that can be trusted. */
const syncfs: SyncFileSystem | undefined = (() => {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  if (process.platform !== 'linux' || major < 5 || (major === 5 && minor < 8)) return undefined;
  return koffi.load('libc.so.6').func('int syncfs(int descriptor)').async as SyncFileSystem;
})();

/** Whether `sync: batch` can be had here. */
export const canSyncFileSystems = syncfs !== undefined;

/** A mounted file system that holds store paths or the index; all on the same device share one. */
export class FileSystem {
  /** Set by the first sync that failed: from then on what is on the disk is unknown, and nothing may be written. */
  failure: Error | undefined;

  private constructor(private readonly descriptor: number) {}

  private static readonly known = new Map<number, FileSystem>();

  /** The file system that holds a directory. Stays open for the life of the process: syncfs reports by descriptor. */
  static of(directory: string): FileSystem {
    const device = statSync(directory).dev;
    let fileSystem = FileSystem.known.get(device);
    if (!fileSystem) {
      fileSystem = new FileSystem(openSync(directory, 'r'));
      FileSystem.known.set(device, fileSystem);
    }
    return fileSystem;
  }

  /** Everything written to this file system so far is on stable storage when this resolves. */
  async sync(): Promise<void> {
    await this.guard(
      () =>
        new Promise<void>((resolve, reject) => {
          if (!syncfs) throw new Error('syncfs is not available here; set sync to "file"');
          syncfs(this.descriptor, (error, result) => {
            if (error) reject(error);
            else if (result !== 0) reject(new Error(`syncfs failed (${koffi.errno()})`));
            else resolve();
          });
        }),
    );
  }

  /** As `sync`, for single open files and directories on this file system. */
  async syncDescriptors(descriptors: number[]): Promise<void> {
    await this.guard(async () => {
      await Promise.all(descriptors.map((descriptor) => fsyncAsync(descriptor)));
    });
  }

  private async guard(sync: () => Promise<void>): Promise<void> {
    this.assertSound();
    try {
      await sync();
    } catch (error) {
      this.failure = error as Error;
      this.assertSound();
    }
  }

  /** Throws when an earlier sync failed. */
  assertSound(): void {
    if (!this.failure) return;
    const advice = 'check the disk, then run "fidfs verify" and restart';
    const message = `a sync failed (${this.failure.message}), so nothing more is written here; ${advice}`;
    throw new StoreError('unavailable', message, { cause: this.failure });
  }
}
