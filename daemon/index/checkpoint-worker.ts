/*
 * The thread of `Checkpointer`: a connection of its own to the same SQLite file.
 */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';

/** SQLite writes the journal from its beginning again only when all of it has been copied, so what came meanwhile is copied too. */
const PASSES = 10;
/** A pass that copied no more than this left hardly anything. */
const FEW_PAGES = 100;

interface Copied {
  busy: number;
  log: number;
  checkpointed: number;
}

const database = new Database(String(workerData));

function copy(): void {
  let before = 0;
  for (let pass = 0; pass < PASSES; pass++) {
    const [{ checkpointed }] = database.pragma('wal_checkpoint(PASSIVE)') as [Copied];
    if (checkpointed - before <= FEW_PAGES) return;
    before = checkpointed;
  }
}

parentPort?.on('message', () => {
  copy();
  parentPort?.postMessage('copied');
});
