import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { Load, Promised } from './load.js';
import type { TestNode } from './node.js';

/** Every thread: one that the kernel is just syncing for stops only after that. */
export function isStopped(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.every((thread) => /\) T/.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')));
}

/** As `stopped`, with what a load had been promised. */
export function cutPower(node: TestNode, load: Load, image: string, copy: string): Promise<Promised> {
  return stopped(node, image, copy, () => load.promised());
}

/** Copies the image of a node's disk at an instant when nobody writes, and says what had been promised at it. */
export async function stopped<Promises>(
  node: TestNode,
  image: string,
  copy: string,
  promisedNow: () => Promises,
): Promise<Promises> {
  const pids = node.pids();
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  try {
    await node.until(() => pids.every(isStopped), 'stopped');
    const promised = promisedNow();
    execFileSync('cp', ['--sparse=always', image, copy]);
    return promised;
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
}
