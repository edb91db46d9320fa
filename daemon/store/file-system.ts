import { openSync, statSync } from 'node:fs';
import { type Calls, realCalls } from './calls.js';
import { StoreError } from './errors.js';

/** What makes a batch durable: one sync of its file systems, one of each file and directory, or nothing. */
export type SyncMode = 'batch' | 'file' | 'off';

/** A mounted file system that holds store paths or the index; all on the same device share one. */
export class FileSystem {
  /** Set by the first sync that failed: from then on what is on the disk is unknown, and nothing may be written. */
  failure: Error | undefined;

  private constructor(
    private readonly descriptor: number,
    private readonly calls: Calls,
  ) {}

  /** By device; with other calls it is another one, whose syncs fail by themselves. */
  private static readonly known = new WeakMap<Calls, Map<number, FileSystem>>();

  /** The file system that holds a directory. Stays open for the life of the process: syncfs reports by descriptor. */
  static of(directory: string, calls: Calls = realCalls): FileSystem {
    const device = statSync(directory).dev;
    const known = FileSystem.known.get(calls) ?? new Map<number, FileSystem>();
    FileSystem.known.set(calls, known);
    let fileSystem = known.get(device);
    if (!fileSystem) {
      fileSystem = new FileSystem(openSync(directory, 'r'), calls);
      known.set(device, fileSystem);
    }
    return fileSystem;
  }

  /** Everything written to this file system so far is on stable storage when this resolves. */
  sync(): Promise<void> {
    return this.guard(() => this.calls.syncfs(this.descriptor));
  }

  /** As `sync`, for single open files and directories on this file system. */
  async syncDescriptors(descriptors: number[]): Promise<void> {
    await this.guard(async () => {
      await Promise.all(descriptors.map((descriptor) => this.calls.fsync(descriptor)));
    });
  }

  /**
   * The one failure after which nothing is written any more. A sync reports an error once, and the kernel may have thrown
   * away what it could not write: a second sync that succeeds proves nothing. All other errors concern what they hit alone.
   */
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
