import { readdirSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lockFile } from '../index/lock.js';
import { CommandFailed } from './errors.js';
import { isRunning, LEFT_OVER_SECONDS, processState, readText, signalProcess } from './processes.js';

/**
 * Ends a daemon that outlived the supervisor which started it (kill -9): it holds the lock of the data directory. It is
 * stopping by itself, and what is under way has some time to be answered; then it is killed, which loses nothing that was
 * acknowledged. A daemon whose supervisor runs is left alone.
 */
export async function stopLeftOverDaemon(data: string): Promise<void> {
  const lock = statOf(lockFile(data));
  const orphan = lock && readdirSync('/proc').find((pid) => isOrphanedDaemon(pid) && hasOpen(pid, lock));
  if (orphan === undefined) return;
  process.stderr.write(`fidfs: a daemon outlived its start; process ${orphan} is ended first\n`);
  const patience = performance.now() + LEFT_OVER_SECONDS * 1000;
  signalProcess(Number(orphan), 'SIGTERM');
  while (isOrphanedDaemon(orphan)) {
    if (performance.now() > patience) signalProcess(Number(orphan), 'SIGKILL');
    if (performance.now() > patience + LEFT_OVER_SECONDS * 1000) {
      throw new CommandFailed(`the daemon of an earlier start does not end; end process ${orphan} as who started it`);
    }
    await sleep(20);
  }
}

/** Whether a process is a daemon that has lost the supervisor which started it: its command line names that one. */
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
    return false; // somebody else's process, or ended meanwhile
  }
}

function statOf(file: string): Stats | undefined {
  try {
    return statSync(file);
  } catch {
    return undefined; // not there, or a descriptor that was just closed
  }
}
