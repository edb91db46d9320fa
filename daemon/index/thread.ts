import { Worker } from 'node:worker_threads';
import { errorCode } from '../store/errors.js';

/** Runs a program in a thread of its own; resolves with the one message that it sends. */
export function runThread(program: URL, workerData: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(program, { workerData });
    worker.on('message', resolve);
    worker.on('error', reject);
    worker.on('exit', () => reject(new Error(`the thread ${program.pathname} ended early`)));
  });
}

/** Does something in a thread: errors of SQLite lose their message on the way out, those of Node do not. */
export function inThread(act: () => void): void {
  try {
    act();
  } catch (error) {
    throw Object.assign(new Error((error as Error).message), { code: errorCode(error) });
  }
}
