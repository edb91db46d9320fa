import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Inode, size, modification time or target of every file below directories, by path. */
export function snapshotOf(roots: readonly string[]): Record<string, string> {
  const states = roots.flatMap((root) =>
    readdirSync(join(root, 'data'), { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry): [string, string] => {
        const path = join(entry.parentPath, entry.name);
        const { ino, size, mtimeMs } = lstatSync(path);
        return [path, entry.isSymbolicLink() ? readlinkSync(path) : `${ino} ${size} ${mtimeMs}`];
      }),
  );
  return Object.fromEntries(states.sort());
}
