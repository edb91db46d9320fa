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
 * File permissions: other users of the machine have no access to a node's data. If the owner of the data directory opens it
 * to his group only (0750), that group gets what an nginx of another user needs: the files, the socket and the include files.
 * Only the top directories restrict the group; everything below them is always group-readable, so that changing the access
 * means changing a few directories and not millions of files.
 */

const UMASK = 0o027;
const DIRECTORY = 0o700;
const GROUP = 0o050;

/** Sets the umask and creates the data directory if it does not exist. Must be called before anything is written there. */
export function makeDataDirectory({ data }: Pick<Settings, 'data'>): void {
  process.umask(UMASK);
  mkdirSync(data, { recursive: true, mode: DIRECTORY });
}

/** Whether a directory is readable by its group but not by others. */
function isShared(directory: string): boolean {
  return (statSync(directory).mode & 0o057) === GROUP;
}

/**
 * Removes the access of others to the data directory and the store paths, which an earlier version or FastDFS may have left
 * open. Failures are passed to `warn`; the node runs on.
 */
export function restrictAccess(
  { data, storePaths }: Pick<Settings, 'data' | 'storePaths'>,
  warn: (message: string, error: unknown) => void,
): void {
  const group = isShared(data) ? GROUP : 0;
  /** `shared` are the group's permission bits; 0 denies the group all access. */
  const restrict = (path: string, shared = 0) => {
    try {
      const mode = statSync(path, { throwIfNoEntry: false })?.mode;
      if (mode === undefined) return;
      // Further permissions of the group, such as write, are kept.
      const right = (mode & 0o7700) | (shared === 0 ? 0 : shared | (mode & 0o070));
      if (right !== (mode & 0o7777)) chmodSync(path, right);
    } catch (error) {
      warn(`other users of this machine may be able to read ${path}: its access cannot be restricted`, error);
    }
  };
  restrict(data, group);
  for (const name of ['key', 'keys.json', 'keys.lock', 'lock', 'log', 'index.db', 'index.db-wal', 'index.db-shm'])
    restrict(join(data, name));
  for (const root of storePaths) {
    restrict(dataDirectory(root), group);
    for (const path of [temporaryDirectory, quarantineDirectory, tombstonesFile, batchesFile, markerFile, lockFile]) {
      restrict(path(root));
    }
  }
}
