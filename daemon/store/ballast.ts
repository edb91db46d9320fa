import { randomBytes } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, statfsSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { writeAllSync } from './write-all.js';

/**
 * The ballast is freed in this many steps: space that is freed but not used goes to other programs that write to the full
 * disk.
 */
const PIECES = 64;
/** Bytes beside the index: a deletion takes some tens of kilobytes in the WAL until the WAL is reused from its beginning. */
const RECORDS_BALLAST = 4 * 2 ** 20;

/**
 * A ballast file: allocated blocks that are freed when a deletion has to be recorded on a disk without a free byte. It is
 * refilled when there is space again.
 */
export class Ballast {
  private readonly file: string;
  private size: number;

  /** @param full size of the complete ballast in bytes */
  constructor(
    private readonly directory: string,
    private readonly full: number,
  ) {
    this.file = join(directory, 'ballast');
    this.size = statSync(this.file, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** The ballast file beside the index. */
  static ofRecords(directory: string): Ballast {
    return new Ballast(directory, RECORDS_BALLAST);
  }

  /** Shrinks the ballast until `bytes` are free on its file system, or nothing is left of it. */
  makeRoom(bytes: number): void {
    const isTooLittle = () => {
      const { bavail, bsize } = statfsSync(this.directory);
      return bavail * bsize < bytes;
    };
    while (isTooLittle() && this.shrink());
  }

  /** Refills the ballast if at least its full size stays free. Throws nothing: the next call tries again. */
  fill(): void {
    if (this.size >= this.full) return;
    try {
      const { bavail, bsize } = statfsSync(this.directory);
      if (bavail * bsize < 2 * this.full) return;
      const descriptor = openSync(this.file, 'a', 0o600);
      try {
        ftruncateSync(descriptor, this.size);
        // Random bytes: some file systems allocate no blocks for zeros.
        writeAllSync({ writeSync }, descriptor, randomBytes(this.full - this.size));
        this.size = this.full;
      } finally {
        closeSync(descriptor);
      }
    } catch {
      // The disk is full, or it fails, which is reported elsewhere.
    }
  }

  /** Truncates the ballast by one step. Returns false if nothing was freed. */
  shrink(): boolean {
    if (this.size === 0) return false;
    const size = Math.max(0, this.size - Math.ceil(this.full / PIECES));
    try {
      truncateSync(this.file, size);
    } catch {
      return false; // other calls on the failing disk report the error
    }
    this.size = size;
    return true;
  }
}
