import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import { open } from 'node:fs/promises';
import fileId from '../../file-id/file-id.js';
import { filePath } from '../store/layout.js';
import type { FileLocation } from '../store/records.js';
import type { Store } from '../store/store.js';

/** Below this, in bytes, to send a file costs no more than to prove it. */
const SMALLEST = 64 * 1024;
/** One range in each of so many equal parts of the file: who does not have a whole part never passes. */
const RANGES = 32;
const RANGE_BYTES = 4096;
const LIFETIME_MILLISECONDS = 60_000;
/** Open challenges; a new one ends the oldest. */
const MOST_OPEN = 10_000;
/** After so many wrong answers a content is to be sent, for so long. */
const MOST_WRONG = 5;
const WRONG_MILLISECONDS = 3_600_000;

/** What is asked of the store. */
interface Files {
  duplicates: Pick<Store['duplicates'], 'large'>;
  paths: readonly Pick<Store['paths'][number], 'isOpen' | 'root'>[];
}

/** What a client says it has. */
export interface Claim {
  sha256: Buffer;
  size: number;
  extension: string;
}

/** Bytes of the file that a client is to hash: where they begin, and how many they are. */
export type Range = readonly [offset: number, length: number];

interface Challenge {
  claim: Claim;
  location: FileLocation;
  ranges: readonly Range[];
  /** In milliseconds of `performance.now()`. */
  expires: number;
}

/** A proven content, ready to get one more name. */
export interface Proven {
  claim: Claim;
  location: FileLocation;
  crc32: number;
}

/**
 * Lets clients prove that they hold the bytes of a file that is here: a hash alone is no ticket to somebody's file. Each
 * challenge asks for other bytes, is good for a minute, and for one answer.
 */
export class Challenges {
  private readonly challenges = new Map<string, Challenge>();
  private readonly wrong = new Map<string, { count: number; until: number }>();

  constructor(private readonly store: Files) {}

  /**
   * `expires` is for people, in milliseconds since 1970. Undefined when the content is not here (its file is read for that), or is to be sent
   * all the same.
   */
  async begin(claim: Claim): Promise<{ nonce: string; ranges: readonly Range[]; expires: number } | undefined> {
    if (claim.size < SMALLEST || this.isBarred(claim.sha256)) return undefined;
    const location = await this.store.duplicates.large(claim);
    if (!location || fileId.decodeName(location.name).size !== claim.size) return undefined;
    const nonce = randomBytes(16).toString('hex');
    const ranges = rangesOf(claim.size);
    this.challenges.set(nonce, { claim, location, ranges, expires: performance.now() + LIFETIME_MILLISECONDS });
    dropOldest(this.challenges, MOST_OPEN);
    return { nonce, ranges, expires: Date.now() + LIFETIME_MILLISECONDS };
  }

  /** Undefined when there is no such challenge (any more), or its file has gone; false when the proof is wrong. */
  async answer(nonce: string, proof: Buffer): Promise<Proven | false | undefined> {
    const challenge = this.challenges.get(nonce);
    this.challenges.delete(nonce);
    if (!challenge || challenge.expires < performance.now()) return undefined;
    const { claim, location, ranges } = challenge;
    const wanted = await this.proofOf(nonce, location, ranges).catch(() => undefined); // deleted meanwhile
    if (!wanted) return undefined;
    const { crc32 } = fileId.decodeName(location.name);
    if (proof.length === wanted.length && timingSafeEqual(proof, wanted)) return { claim, location, crc32: crc32 ?? 0 };
    this.countWrong(claim.sha256);
    return false;
  }

  private async proofOf(nonce: string, location: FileLocation, ranges: readonly Range[]): Promise<Buffer> {
    const path = this.store.paths[location.storePath];
    if (!path?.isOpen) throw new Error('the store path is away');
    const file = await open(filePath(path.root, location.directory, location.name));
    try {
      const hash = createHash('sha256').update(nonce);
      for (const [offset, length] of ranges) {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
        if (bytesRead !== length) throw new Error('the file is shorter than it was');
        hash.update(buffer);
      }
      return hash.digest();
    } finally {
      await file.close();
    }
  }

  private isBarred(sha256: Buffer): boolean {
    const entry = this.wrong.get(sha256.toString('hex'));
    return entry !== undefined && entry.count >= MOST_WRONG && entry.until > performance.now();
  }

  private countWrong(sha256: Buffer): void {
    const key = sha256.toString('hex');
    const { count = 0, until = 0 } = this.wrong.get(key) ?? {};
    const now = performance.now();
    this.wrong.delete(key);
    this.wrong.set(key, { count: until > now ? count + 1 : 1, until: now + WRONG_MILLISECONDS });
    dropOldest(this.wrong, MOST_OPEN);
  }
}

function rangesOf(size: number): Range[] {
  const part = Math.floor(size / RANGES);
  const length = Math.min(RANGE_BYTES, part);
  return Array.from({ length: RANGES }, (_, number) => [number * part + randomInt(part - length + 1), length] as const);
}

function dropOldest(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}
