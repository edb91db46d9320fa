import { runThread } from './thread.js';

/** Digests of parts of what a node has, by the number of the part. */
export type DigestsByPart = ReadonlyMap<number, bigint>;

/** What a node has, in digests: equal parts have equal digests. */
export interface Digests {
  /** Files, by store path << 16 | directory. */
  files: Buffer;
  /** Deletions, by source and time; see `tombstoneBounds`. */
  tombstones: Buffer;
}

/** What is digested; with `tombstones` the part of the files is empty. */
export type DigestScope = 'all' | 'tombstones';

/** Which digests are to be computed. */
export interface DigestOrder {
  /** The index's file. */
  database: string;
  scope: DigestScope;
  /** The version of the digests; see `digests.ts`. */
  digests: number;
}

/** Digests everything in the index, in a thread of its own: with a million files it takes about a second. */
export async function computeDigests(order: DigestOrder): Promise<Digests> {
  const told = await runThread(new URL('./digest-worker.js', import.meta.url), order);
  const { files, tombstones } = told as { files: Uint8Array; tombstones: Uint8Array };
  return { files: Buffer.from(files), tombstones: Buffer.from(tombstones) };
}

/** The parts whose digests are not the same here and there, or that are there only. */
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

/** The smallest and the greatest key of a part of the tombstones. */
export function tombstoneBounds(part: number): [Buffer, Buffer] {
  const first = Buffer.alloc(20);
  first.writeUInt32BE(Math.floor(part / 65536), 0);
  first.writeUInt16BE(part % 65536, 4);
  const last = Buffer.alloc(20, 0xff);
  first.copy(last, 0, 0, 6);
  return [first, last];
}
