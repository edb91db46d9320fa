import { openSync, statSync } from 'node:fs';
import { type Calls, realCalls } from './calls.js';
import { StoreError } from './errors.js';

/** How a batch is made durable: one syncfs of each file system, one fsync of each file and directory, or not at all. */
export type SyncMode = 'batch' | 'file' | 'off';

/** A mounted file system that holds store paths or the index. There is one instance for each device. */
export class FileSystem {
  /** The error of the first failed sync. From then on the content of the disk is unknown, and nothing is written to it. */
  failure: Error | undefined;

  private constructor(
    private readonly descriptor: number,
    private readonly calls: Calls,
  ) {}

  /** Instances by device. Each set of calls has its own, so that injected failures stay apart. */
  private static readonly known = new WeakMap<Calls, Map<number, FileSystem>>();

  /**
   * The file system that holds a directory. Its descriptor stays open until the process ends: syncfs reports write errors that
   * occurred since the descriptor was opened.
   */
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

  /** Resolves when everything written to this file system so far is on stable storage. Rejects with a StoreError. */
  sync(): Promise<void> {
    return this.guard(() => this.calls.syncfs(this.descriptor));
  }

  /** Syncs single open files and directories of this file system. Rejects with a StoreError. */
  async syncDescriptors(descriptors: number[]): Promise<void> {
    await this.guard(async () => {
      await Promise.all(descriptors.map((descriptor) => this.calls.fsync(descriptor)));
    });
  }

  /**
   * A failed sync stops all further writes to the file system. The kernel reports a write error once and may have dropped the
   * dirty pages, so a later sync that succeeds proves nothing. Other errors affect only the file that they concern.
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

  /** Throws a StoreError if an earlier sync failed. */
  assertSound(): void {
    if (!this.failure) return;
    const advice = 'check the disk, then run "fidfs verify" and restart';
    const message = `a sync failed (${this.failure.message}), so nothing more is written here; ${advice}`;
    throw new StoreError('unavailable', message, { cause: this.failure });
  }
}
