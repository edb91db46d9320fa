import { randomBytes } from 'node:crypto';
import { fdatasync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Index } from '../daemon/index/index.js';
import type { Batch, StoredFile } from '../daemon/store/records.js';
import fileId from '../file-id/file-id.js';

const sync = promisify(fdatasync);
const BATCH = 64;
/** Files of a batch where time does not matter. */
const LARGE_BATCH = 10_000;
const LOOKUPS = 20_000;
/** Number of inserts, the last ones, that are timed. */
const TIMED = 9_600;

/** The costs of an index of some size; times in microseconds per row. */
export interface IndexCosts {
  files: number;
  insert: number;
  findById: number;
  findByContent: number;
  bytesPerFile: number;
}

/** The second in which a file of `storedFile` was created. */
export function secondOf(number: number): number {
  return 1_795_000_000 + Math.floor(number / 5000);
}

/** Returns the record of a file that does not exist, unique per number. */
export function storedFile(number: number): StoredFile {
  const created = secondOf(number);
  const key = fileId.encodeKey({ serverId: 1, created, size: 1000, crc32: number, counter: number % 5000 });
  const name = `${key.toString('base64url')}417.jpg`;
  const directory = Math.floor(number / 100) % 65536;
  return {
    id: name,
    key,
    storePath: 0,
    directory,
    name,
    size: 1000,
    crc32: number,
    sha256: randomBytes(32),
    created,
    accepted: false,
  };
}

/** Returns the batch that adds such files to an index. */
export function batchOf(added: StoredFile[]): Batch {
  // The checkpoint lies beyond them, so that recovery does not look for the files, which do not exist.
  const second = (added.at(-1)?.created ?? 0) + 1;
  return {
    added,
    removed: [],
    checkpoint: { second, directory: 0, tombstones: [0], deletions: [], copies: [], batches: [] },
  };
}

/** Makes the index of a node with records of `files` files, which do not exist. */
export async function fillIndex(data: string, files: number): Promise<void> {
  mkdirSync(data, { recursive: true });
  const index = new Index(join(data, 'index.db'));
  for (let number = 0; number < files; number += LARGE_BATCH) {
    index.record(batchOf(Array.from({ length: LARGE_BATCH }, (_, offset) => storedFile(number + offset))));
    // Lets the checkpoint of the WAL run between batches.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await index.close();
}

function microseconds(count: number, work: () => void): number {
  const started = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - started) / 1000 / count;
}

/**
 * Fills an index in batches as uploads do, with a sync of the WAL between them. Measures the last inserts (without the sync),
 * then random lookups.
 */
export async function measureIndex(data: string, files: number): Promise<IndexCosts> {
  mkdirSync(data, { recursive: true });
  const index = new Index(join(data, 'index.db'));
  const sample: StoredFile[] = [];
  const insert = async (from: number, to: number): Promise<number> => {
    let spent = 0n;
    for (let number = from; number < to; number += BATCH) {
      const added = Array.from({ length: Math.min(BATCH, to - number) }, (_, offset) => storedFile(number + offset));
      if (Math.random() < (LOOKUPS * 1.2) / files) sample.push(...added);
      const batch = batchOf(added);
      const started = process.hrtime.bigint();
      index.record(batch);
      spent += process.hrtime.bigint() - started;
      await sync(index.walDescriptor);
    }
    return Number(spent) / 1000 / (to - from);
  };
  await insert(0, files - TIMED);
  const costs = {
    files,
    insert: await insert(files - TIMED, files),
    findById: microseconds(sample.length, () => {
      for (const { key } of sample) if (!index.find(key)) throw new Error('lost');
    }),
    findByContent: microseconds(sample.length, () => {
      for (const { sha256 } of sample) if (index.findByContent(sha256).length === 0) throw new Error('lost');
    }),
  };
  await index.close();
  return { ...costs, bytesPerFile: statSync(join(data, 'index.db')).size / files };
}
