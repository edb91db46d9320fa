import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { makeDataDirectory } from '../access.js';
import type { Settings } from '../config/settings.js';
import { CommandFailed } from './errors.js';

/** The user that nginx and the daemon run as if root starts them. */
export interface Owner {
  uid: number;
  gid: number;
}

/**
 * The owner of the data directory and his primary group. Undefined if this process does not run as root, or root is the
 * owner. Throws CommandFailed for a user id without a name.
 */
export function ownerOf(data: string): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const { uid } = statSync(data);
  if (uid === 0) return undefined;
  try {
    const words = ['-g', String(uid)];
    const gid = execFileSync('id', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return { uid, gid: Number(gid) };
  } catch (error) {
    throw new CommandFailed(
      `${data} belongs to user ${uid}, who has no name on this machine; make that user, or give it to another (chown -R)`,
      { cause: error },
    );
  }
}

/** Runs `action` with the effective user and group of the owner, so that files it creates belong to him. */
export function asOwner<T>(owner: Owner | undefined, action: () => T): T {
  if (!owner) return action();
  process.setegid?.(owner.gid);
  process.seteuid?.(owner.uid);
  try {
    return action();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}

/**
 * For commands that open the data directory themselves: checks that it exists and, if root runs the command, drops to its
 * owner permanently, so that files it creates belong to him. Throws CommandFailed.
 */
export function enterDataDirectory(settings: Pick<Settings, 'data'>): void {
  const { data } = settings;
  if (!existsSync(data)) {
    throw new CommandFailed(`there is no ${data}; name the node's directory in "data" (FIDFS_DATA, or --config)`);
  }
  makeDataDirectory(settings);
  const owner = ownerOf(data);
  if (!owner) return;
  process.setgroups?.([owner.gid]);
  process.setgid?.(owner.gid);
  process.setuid?.(owner.uid);
}
