import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from './config/settings.js';
import { lockFile } from './index/lock.js';
import {
  batchesFile,
  dataDirectory,
  markerFile,
  quarantineDirectory,
  temporaryDirectory,
  tombstonesFile,
} from './store/layout.js';

/*
 * Who else on this machine may read what a node keeps: nobody. Where the owner of the data directory has opened it to his
 * group and to nobody else (0750), that group may reach what an nginx of another user needs: the files, the socket, the
 * include files. The top directories decide; what lies below them is made readable by the group in any case, so that a
 * change of mind is a change of a few directories and not of millions of files.
 */

const UMASK = 0o027;
const DIRECTORY = 0o700;
const GROUP = 0o050;

/** Makes the data directory where there is none. For everything that writes there, before it does. */
export function makeDataDirectory({ data }: Pick<Settings, 'data'>): void {
  process.umask(UMASK);
  mkdirSync(data, { recursive: true, mode: DIRECTORY });
}

/** Whether a directory is open to its group, and to nobody else. */
function isShared(directory: string): boolean {
  return (statSync(directory).mode & 0o057) === GROUP;
}

/**
 * Takes away the access that others have to the data directory and to the store paths, such as those of an earlier version
 * or of FastDFS. What cannot be changed is told to `warn`, and the node runs on.
 */
export function restrictAccess(
  { data, storePaths }: Pick<Settings, 'data' | 'storePaths'>,
  warn: (message: string, error: unknown) => void,
): void {
  const group = isShared(data) ? GROUP : 0;
  /** `shared` is what the group must be able to do; 0: nothing. */
  const restrict = (path: string, shared = 0) => {
    try {
      const mode = statSync(path, { throwIfNoEntry: false })?.mode;
      if (mode === undefined) return;
      // What the owner lets the group do besides, such as write, is left.
      const right = (mode & 0o7700) | (shared === 0 ? 0 : shared | (mode & 0o070));
      if (right !== (mode & 0o7777)) chmodSync(path, right);
    } catch (error) {
      warn(`other users of this machine may be able to read ${path}: its access cannot be restricted`, error);
    }
  };
  restrict(data, group);
  for (const name of ['key', 'lock', 'log', 'index.db', 'index.db-wal', 'index.db-shm']) restrict(join(data, name));
  for (const root of storePaths) {
    restrict(dataDirectory(root), group);
    for (const path of [temporaryDirectory, quarantineDirectory, tombstonesFile, batchesFile, markerFile, lockFile]) {
      restrict(path(root));
    }
  }
}
