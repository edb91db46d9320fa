/*
 * The thread of `Checkpointer`: for each message, checkpoints the WAL through a connection of its own.
 */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { inThread } from './thread.js';

/** SQLite overwrites the WAL only after copying all of it, so further passes copy the pages written during the first. */
const PASSES = 10;
/** A pass that copied at most this many pages is the last one. */
const FEW_PAGES = 100;

interface Copied {
  busy: number;
  log: number;
  checkpointed: number;
}

let database: Database.Database | undefined;

function copy(): void {
  database ??= new Database(String(workerData));
  let before = 0;
  for (let pass = 0; pass < PASSES; pass++) {
    const [{ checkpointed }] = database.pragma('wal_checkpoint(PASSIVE)') as [Copied];
    if (checkpointed - before <= FEW_PAGES) return;
    before = checkpointed;
  }
}

parentPort?.on('message', () => {
  inThread(copy);
  parentPort?.postMessage('copied');
});
