import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Reason to skip tests that mount file systems; false if mounting works. */
export function cannotMount(): string | false {
  if (process.getuid?.() !== 0) return 'needs root, to mount file systems';
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-mount-'));
  try {
    const image = join(directory, 'image');
    makeImage(image, 16);
    run('mount', '-o', 'loop', image, directory);
    run('umount', directory);
    return false;
  } catch (error) {
    return `needs mkfs.ext4 and loop devices: ${(error as Error).message.trim().split('\n').at(-1)}`;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Creates a directory for the mounts and images of a test, removed at its end. */
export function scratch(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'fidfs-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Creates a sparse file with an empty ext4; mkfs chooses the block size if none is given. */
export function makeImage(image: string, mebibytes: number, blockSize?: number): void {
  writeFileSync(image, '');
  truncateSync(image, mebibytes * 2 ** 20);
  const blocks = blockSize === undefined ? [] : ['-b', String(blockSize)];
  run('mkfs.ext4', '-q', '-F', '-m', '0', '-E', 'lazy_itable_init=1,nodiscard', ...blocks, image);
}

/** Mounts an image; returns the mount point. */
export function mountImage(t: Test, image: string, point: string, options = 'loop'): string {
  mkdirSync(point, { recursive: true });
  run('mount', '-o', options, image, point);
  t.teardown(() => unmount(point));
  return point;
}

/** Mounts a small file system in memory; returns the mount point. */
export function mountTmpfs(t: Test, point: string, mebibytes: number): string {
  mkdirSync(point, { recursive: true });
  run('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'none', point);
  t.teardown(() => unmount(point));
  return point;
}

/** Unmounts a file system lazily, even if processes use it. Does nothing if it is not mounted. */
export function unmount(point: string): void {
  try {
    run('umount', '-l', point);
  } catch {
    // not mounted (any more)
  }
}
