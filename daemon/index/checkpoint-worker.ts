/*
 * The thread of `Checkpointer`: a connection of its own to the same SQLite file.
 */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { inThread } from './thread.js';

/** SQLite writes the WAL from its beginning again only when all of it has been copied, so what came meanwhile is copied too. */
const PASSES = 10;
/** A pass that copied no more than this left hardly anything. */
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
