import { randomBytes } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, statfsSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { writeAllSync } from './write-all.js';

/** It is freed in so many pieces: other programs that write to a full disk take what was freed and not used. */
const PIECES = 64;
/** Bytes beside the records of all files: a deletion takes some tens of kilobytes in the WAL until that is written from its beginning again. */
const RECORDS_BALLAST = 4 * 2 ** 20;

/**
 * A ballast file: blocks that are kept in use, to be freed for what has to be written on a disk that is full to the last
 * byte, as deletions have. It is made again when there is room.
 */
export class Ballast {
  private readonly file: string;
  private size: number;

  /** @param full bytes that it has when it is whole */
  constructor(
    private readonly directory: string,
    private readonly full: number,
  ) {
    this.file = join(directory, 'ballast');
    this.size = statSync(this.file, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** The ballast of the directory of the records. */
  static ofRecords(directory: string): Ballast {
    return new Ballast(directory, RECORDS_BALLAST);
  }

  /** Gives up so much of it that so many bytes are free, where it can. */
  makeRoom(bytes: number): void {
    const isTooLittle = () => {
      const { bavail, bsize } = statfsSync(this.directory);
      return bavail * bsize < bytes;
    };
    while (isTooLittle() && this.give());
  }

  /** Makes it whole, where that leaves as much to others. */
  fill(): void {
    if (this.size >= this.full) return;
    try {
      const { bavail, bsize } = statfsSync(this.directory);
      if (bavail * bsize < 2 * this.full) return;
      const descriptor = openSync(this.file, 'a', 0o600);
      try {
        ftruncateSync(descriptor, this.size);
        // Not of zeros, which some file systems do not store.
        writeAllSync({ writeSync }, descriptor, randomBytes(this.full - this.size));
        this.size = this.full;
      } finally {
        closeSync(descriptor);
      }
    } catch {
      // Full after all, or the disk fails, which is noticed and reported elsewhere: tried again at the next look at the disk.
    }
  }

  /** Gives up a piece. False when nothing is left of it. */
  give(): boolean {
    if (this.size === 0) return false;
    const size = Math.max(0, this.size - Math.ceil(this.full / PIECES));
    try {
      truncateSync(this.file, size);
    } catch {
      return false; // the disk fails, which each call on it reports
    }
    this.size = size;
    return true;
  }
}
