/*
 * The thread of `computeDigests`: reads all keys through a connection of its own, and computes their digests.
 */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { DigestOrder } from './digests.js';
import { createPartDigests } from './part-digests.js';
import { inThread } from './thread.js';

inThread(() => {
  const { database: file, scope, digests: version } = workerData as DigestOrder;
  const database = new Database(file, { readonly: true });
  try {
    const files = createPartDigests(version);
    const select = `SELECT place, key, version, iif(version IS NULL, NULL, sha256) FROM file
      ORDER BY key ${scope === 'all' ? '' : 'LIMIT 0'}`;
    const rows = database.prepare<[], [number, Buffer, number | null, Buffer | null]>(select).raw().iterate();
    for (const [place, key, version, sha256] of rows) {
      files.add(place, key, version !== null && sha256 ? { version, sha256 } : undefined);
    }
    const tombstones = createPartDigests(version);
    for (const [key] of database.prepare<[], [Buffer]>('SELECT key FROM tombstone ORDER BY key').raw().iterate()) {
      // The key's first 6 bytes: source, and creation in steps of 65,536 seconds. Keys of one part are adjacent in the table.
      tombstones.add(key.readUInt32BE(0) * 65536 + key.readUInt16BE(4), key);
    }
    parentPort?.postMessage({ files: files.toBuffer(), tombstones: tombstones.toBuffer() });
  } finally {
    database.close();
  }
});
