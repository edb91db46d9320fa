import { readdirSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lockFile } from '../index/lock.js';
import { CommandFailed } from './errors.js';
import { isRunning, LEFT_OVER_SECONDS, processState, readText, signalProcess } from './processes.js';

/**
 * Stops a daemon whose supervisor was killed (kill -9): it still holds the lock of the data directory. Such a daemon is
 * already stopping, and gets 10 seconds to answer its requests; then it is killed, which loses nothing that was acknowledged.
 * A daemon with a running supervisor is not touched. Rejects with CommandFailed if the process does not end.
 */
export async function stopLeftOverDaemon(data: string): Promise<void> {
  const lock = statOf(lockFile(data));
  const orphan = lock && readdirSync('/proc').find((pid) => isOrphanedDaemon(pid) && hasOpen(pid, lock));
  if (orphan === undefined) return;
  process.stderr.write(`fidfs: a daemon outlived its start; process ${orphan} is ended first\n`);
  const deadline = performance.now() + LEFT_OVER_SECONDS * 1000;
  signalProcess(Number(orphan), 'SIGTERM');
  while (isOrphanedDaemon(orphan)) {
    if (performance.now() > deadline) signalProcess(Number(orphan), 'SIGKILL');
    if (performance.now() > deadline + LEFT_OVER_SECONDS * 1000) {
      throw new CommandFailed(
        `the daemon of an earlier start does not end; end process ${orphan} as the user who started it`,
      );
    }
    await sleep(20);
  }
}

/** Whether a process is a daemon whose parent is no longer the supervisor named in its command line. */
function isOrphanedDaemon(pid: string): boolean {
  if (!/^\d+$/.test(pid)) return false;
  const [, main = '', , starter = ''] = readText(`/proc/${pid}/cmdline`)
    .replace(/(\0--[^\0]*)+/, '')
    .split('\0');
  const { state, parent } = processState(pid);
  return main.endsWith('/daemon/main.js') && isRunning(state) && starter !== '' && parent !== Number(starter);
}

function hasOpen(pid: string, { dev, ino }: Stats): boolean {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).some((descriptor) => {
      const stat = statOf(join(directory, descriptor));
      return stat?.ino === ino && stat.dev === dev;
    });
  } catch {
    return false; // another user's process, or one that has just ended
  }
}

function statOf(file: string): Stats | undefined {
  try {
    return statSync(file);
  } catch {
    return undefined; // no such file, or a descriptor that was just closed
  }
}
