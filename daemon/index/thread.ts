import { Worker } from 'node:worker_threads';
import { errorCode } from '../store/errors.js';

/** Runs a program in a thread of its own. Resolves with its first message; rejects with its error, or if it ends without one. */
export function runThread(program: URL, workerData: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(program, { workerData });
    worker.on('message', resolve);
    worker.on('error', reject);
    worker.on('exit', () => reject(new Error(`the thread ${program.pathname} ended early`)));
  });
}

/** Runs code in a thread. Converts its error to an Error with a `code`: SqliteError loses its message between threads. */
export function inThread(act: () => void): void {
  try {
    act();
  } catch (error) {
    throw Object.assign(new Error((error as Error).message), { code: errorCode(error) });
  }
}
