import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { type AnyLoad, type Promised, promisedBy } from './load.js';
import type { TestNode } from './node.js';

/** Whether all threads of a process are stopped: a thread inside a sync stops only after it. */
export function isStopped(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.every((thread) => /\) T/.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')));
}

/** As `stopped`; resolves with what the loads had been promised. */
export function cutPower(node: TestNode, loads: readonly AnyLoad[], image: string, copy: string): Promise<Promised> {
  return stopped(node, image, copy, () => promisedBy(loads));
}

/** Stops all processes of a node, copies the image of its disk, and resolves with what had been promised at that moment. */
export async function stopped<Promises>(
  node: TestNode,
  image: string,
  copy: string,
  promisedNow: () => Promises,
): Promise<Promises> {
  const pids = node.freeze();
  try {
    await node.until(() => pids.every(isStopped), 'stopped');
    const promised = promisedNow();
    execFileSync('cp', ['--sparse=always', image, copy]);
    return promised;
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
}
