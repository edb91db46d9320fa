import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { CommandFailed } from './errors.js';

/** Who nginx's workers and the daemon run as, when root starts them. */
export interface Owner {
  uid: number;
  gid: number;
  user: string;
  group: string;
}

/** The owner of the data directory, with his primary group; undefined when this process is not root's or he is root. */
export function ownerOf(data: string): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const { uid } = statSync(data);
  if (uid === 0) return undefined;
  const id = (option: string) =>
    execFileSync('id', [option, String(uid)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return { uid, gid: Number(id('-g')), user: id('-un'), group: id('-gn') };
  } catch (error) {
    throw new CommandFailed(
      `${data} belongs to user ${uid}, who has no name on this machine; make that user, or give it to another (chown -R)`,
      { cause: error },
    );
  }
}

/**
 * Goes on as the owner of the data directory when root called, so that what the command makes there is the owner's.
 * There is no way back.
 */
export function becomeOwner(data: string): void {
  const owner = ownerOf(data);
  if (!owner) return;
  process.setgroups?.([owner.gid]);
  process.setgid?.(owner.gid);
  process.setuid?.(owner.uid);
}
