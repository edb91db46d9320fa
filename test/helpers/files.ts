import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Inode, size, mode and times, or the target, of everything below directories, by path. */
export function snapshotOf(roots: readonly string[]): Record<string, string> {
  const states = roots.flatMap((root) =>
    ['.', ...readdirSync(root, { recursive: true, encoding: 'utf8' })].map((name): [string, string] => {
      const path = join(root, name);
      const stat = lstatSync(path);
      if (stat.isSymbolicLink()) return [path, readlinkSync(path)];
      const { ino, size, mode, mtimeMs, ctimeMs } = stat;
      return [path, `${ino} ${size} ${mode} ${mtimeMs} ${ctimeMs}`];
    }),
  );
  return Object.fromEntries(states.sort());
}
