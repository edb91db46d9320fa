/*
 * The thread of `Index.check`: checks every page of the index through a connection of its own. Posts `ok` or the first error.
 */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { inThread } from './thread.js';

inThread(() => {
  const database = new Database(String(workerData), { readonly: true });
  try {
    parentPort?.postMessage(database.pragma('quick_check(1)', { simple: true }));
  } finally {
    database.close();
  }
});
