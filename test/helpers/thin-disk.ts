import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeFileSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Test } from 'tap';
import { makeImage, mountImage, mountTmpfs, unmount } from './mounts.js';

/** Bytes of a memory page, which is the pool's unit, and of a block of the disk. */
const PAGE = 4096;

/**
 * A small disk with real I/O errors: ext4 in a sparse image on a tmpfs, the pool from which the image gets its blocks. When
 * the pool is full, writes to the disk fail, as on a thin volume or a failing disk.
 */
export class ThinDisk {
  readonly point: string;
  private readonly pool: string;
  private readonly image: string;

  constructor(
    private readonly t: Test,
    directory: string,
    mebibytes: number,
  ) {
    this.pool = mountTmpfs(t, join(directory, 'pool'), mebibytes + 16);
    this.image = join(this.pool, 'image');
    this.point = join(directory, 'disk');
    makeImage(this.image, mebibytes, PAGE);
    this.mount();
  }

  private mount(): void {
    mountImage(this.t, this.image, this.point, 'loop,errors=remount-ro');
    // The loop driver reports a request that the pool took only in part as written completely, so the disk would lose data
    // that it reported as durable. A request of one page is written completely or not at all.
    const device = execFileSync('findmnt', ['-n', '-o', 'SOURCE', this.point], { encoding: 'utf8' }).trim();
    writeFileSync(`/sys/block/${basename(device)}/queue/max_sectors_kb`, String(PAGE / 1024));
  }

  /** Fills the disk's free space with a file of another program. */
  fill(): void {
    fillUp(join(this.point, 'somebody-elses-file'));
  }

  /** Removes that file. */
  empty(): void {
    rmSync(join(this.point, 'somebody-elses-file'));
  }

  /** Uses up the disk's inodes with files of another program. */
  fillInodes(): void {
    const directory = join(this.point, 'somebody-elses-files');
    mkdirSync(directory, { recursive: true });
    for (let number = 0; ; number++) {
      try {
        writeFileSync(join(directory, String(number)), '');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
        throw error;
      }
    }
  }

  /** Removes those files. */
  emptyInodes(): void {
    rmSync(join(this.point, 'somebody-elses-files'), { recursive: true });
  }

  /** Makes the file system read-only while it is in use, as after an error of its journal, until `repair`. */
  turnReadOnly(): void {
    execFileSync('mount', ['-o', 'remount,abort', this.point], { stdio: 'pipe' });
  }

  /** Makes writes of new blocks fail until `repair`. */
  failWrites(): void {
    // Returns unused blocks to the pool, including recently freed ones, because writes to them would succeed.
    execFileSync('sync', ['-f', this.point], { stdio: 'pipe' });
    execFileSync('fstrim', [this.point], { stdio: 'pipe' });
    fillUp(join(this.pool, 'no-more-blocks'));
  }

  /** Checks the file system and mounts it again. No process may use it. */
  repair(): void {
    rmSync(join(this.pool, 'no-more-blocks'), { force: true });
    unmount(this.point);
    const { status, stdout } = spawnSync('e2fsck', ['-f', '-y', this.image], { encoding: 'utf8' });
    // 1: errors were corrected.
    if ((status ?? 16) > 1) throw new Error(`e2fsck: ${status}: ${stdout}`);
    this.mount();
  }

  /** Free bytes. */
  get free(): number {
    const { bavail, bsize } = statfsSync(this.point);
    return bavail * bsize;
  }
}

/** Appends to a file until the file system is full. */
function fillUp(path: string): void {
  const file = openSync(path, 'a');
  try {
    for (let size = 2 ** 20; size >= 512; size /= 2) while (write(file, size));
  } finally {
    closeSync(file);
  }
}

function write(file: number, size: number): boolean {
  try {
    return writeSync(file, Buffer.alloc(size, 1)) === size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}
