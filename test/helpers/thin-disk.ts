import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeFileSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Test } from 'tap';
import { makeImage, mountImage, mountTmpfs, unmount } from './mounts.js';

/** Bytes of a page of memory, of which the pool is made, and of a block of the disk. */
const PAGE = 4096;

/**
 * A small disk that fails as real ones do: ext4 in a sparse image on a memory file system, which is the pool that the image
 * gets its blocks from. Where the pool has no more, writes to the disk fail, as on a thin volume or a dying disk.
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
    // The loop driver counts a request of which the pool took only a part as written whole: such a disk would lose what it
    // said was durable. A request of one page is taken whole or not at all.
    const device = execFileSync('findmnt', ['-n', '-o', 'SOURCE', this.point], { encoding: 'utf8' }).trim();
    writeFileSync(`/sys/block/${basename(device)}/queue/max_sectors_kb`, String(PAGE / 1024));
  }

  /** Another program takes all bytes that are free. */
  fill(): void {
    fillUp(join(this.point, 'somebody-elses-file'));
  }

  /** Gives the bytes back. */
  empty(): void {
    rmSync(join(this.point, 'somebody-elses-file'));
  }

  /** Another program takes all inodes. */
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

  /** Gives the inodes back. */
  emptyInodes(): void {
    rmSync(join(this.point, 'somebody-elses-files'), { recursive: true });
  }

  /** The file system turns read-only under those who write to it, as after an error of its journal. Until `repair`. */
  turnReadOnly(): void {
    execFileSync('mount', ['-o', 'remount,abort', this.point], { stdio: 'pipe' });
  }

  /** What is new on the disk cannot be written any more, until `repair`. */
  failWrites(): void {
    // Blocks that were used before are given back to the pool: with them writes would go on. Those freed last, too.
    execFileSync('sync', ['-f', this.point], { stdio: 'pipe' });
    execFileSync('fstrim', [this.point], { stdio: 'pipe' });
    fillUp(join(this.pool, 'no-more-blocks'));
  }

  /** Checks the file system, which nobody may use meanwhile, and mounts it anew. */
  repair(): void {
    rmSync(join(this.pool, 'no-more-blocks'), { force: true });
    unmount(this.point);
    const { status, stdout } = spawnSync('e2fsck', ['-f', '-y', this.image], { encoding: 'utf8' });
    // 1: errors were corrected.
    if ((status ?? 16) > 1) throw new Error(`e2fsck: ${status}: ${stdout}`);
    this.mount();
  }

  /** Bytes that are free. */
  get free(): number {
    const { bavail, bsize } = statfsSync(this.point);
    return bavail * bsize;
  }
}

/** Writes a file until nothing fits. */
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
