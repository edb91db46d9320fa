import { runThread } from './thread.js';

/** Digests of parts of a node's files or tombstones, by the number of the part. */
export type DigestsByPart = ReadonlyMap<number, bigint>;

/** Digests of a node's files and tombstones: 16 bytes per part, see `PartDigests.toBuffer`. Equal parts have equal digests. */
export interface Digests {
  /** Files; the part is store path << 16 | directory. */
  files: Buffer;
  /** Tombstones; the part is source and time, see `tombstoneBounds`. */
  tombstones: Buffer;
}

/** Which digests to compute; with `tombstones`, the digests of the files are empty. */
export type DigestScope = 'all' | 'tombstones';

/** Parameters of `computeDigests`. */
export interface DigestOrder {
  /** Path of the index. */
  database: string;
  scope: DigestScope;
  /** Version of the digests; see `part-digests.ts`. */
  digests: number;
}

/**
 * Computes digests of the index in a thread of its own, about a second for a million files. Rejects with the error of the
 * thread, which has the code of SQLite's error.
 */
export async function computeDigests(order: DigestOrder): Promise<Digests> {
  const message = await runThread(new URL('./digest-worker.js', import.meta.url), order);
  const { files, tombstones } = message as { files: Uint8Array; tombstones: Uint8Array };
  return { files: Buffer.from(files), tombstones: Buffer.from(tombstones) };
}

/** Parts whose digests differ, and parts that only `there` has. Throws if a buffer is truncated. */
export function differingParts(here: Buffer, there: Buffer): number[] {
  const known = readDigests(here);
  return [...readDigests(there)].filter(([part, digest]) => known.get(part) !== digest).map(([part]) => part);
}

function readDigests(digests: Buffer): DigestsByPart {
  if (digests.length % 16 !== 0) throw new Error('the digests are cut off');
  const parts = new Map<number, bigint>();
  for (let row = 0; row < digests.length; row += 16)
    parts.set(digests.readDoubleBE(row), digests.readBigUInt64BE(row + 8));
  return parts;
}

/** The smallest and the greatest key of a part of the tombstones, both inclusive. */
export function tombstoneBounds(part: number): [Buffer, Buffer] {
  const first = Buffer.alloc(20);
  first.writeUInt32BE(Math.floor(part / 65536), 0);
  first.writeUInt16BE(part % 65536, 4);
  const last = Buffer.alloc(20, 0xff);
  first.copy(last, 0, 0, 6);
  return [first, last];
}
