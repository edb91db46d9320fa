import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { CheckedFile } from '../store/duplicates.js';
import { filePath } from '../store/layout.js';
import type { FileLocation } from '../store/records.js';
import type { Store } from '../store/store.js';

/** Bytes below which sending the file costs no more than proving possession of it. */
const SMALLEST = 64 * 1024;
/** Number of equal parts of the file with one range each: a client that lacks a whole part always fails. */
const RANGES = 32;
const RANGE_BYTES = 4096;
const LIFETIME_MILLISECONDS = 60_000;
/** Maximum number of open challenges; beyond it the oldest is dropped. */
const MOST_OPEN = 10_000;
/** After this many wrong answers a content has to be sent, for this time after the last of them. */
const MOST_WRONG = 5;
const WRONG_MILLISECONDS = 3_600_000;

/** The part of the store that challenges use. */
interface Files {
  duplicates: Pick<Store['duplicates'], 'large'>;
  paths: readonly Pick<Store['paths'][number], 'isOpen' | 'root'>[];
}

/** The content that a client claims to have. `size` is in bytes. */
export interface Claim {
  sha256: Buffer;
  size: number;
  extension: string;
}

/** A range of the file that the client must hash; both in bytes. */
export type Range = readonly [offset: number, length: number];

interface Challenge {
  claim: Claim;
  location: CheckedFile;
  ranges: readonly Range[];
  /** In milliseconds of `performance.now()`. */
  expires: number;
}

/** A content whose possession the client has proven, and its file in the store. */
export interface Proven {
  claim: Claim;
  location: FileLocation;
  crc32: number;
}

/**
 * Challenges by which a client proves possession of the bytes of a stored file; knowing the hash alone is not enough. Each
 * challenge asks for random ranges, is valid for one minute and can be answered once.
 */
export class Challenges {
  private readonly challenges = new Map<string, Challenge>();
  private readonly wrong = new Map<string, { count: number; until: number }>();

  constructor(private readonly store: Files) {}

  /**
   * Creates a challenge; `expires` is in milliseconds since 1970. Undefined if the content is not stored here (verified by
   * reading its file), is too small, or has had too many wrong answers.
   */
  async begin(claim: Claim): Promise<{ nonce: string; ranges: readonly Range[]; expires: number } | undefined> {
    if (claim.size < SMALLEST || this.isBarred(claim.sha256)) return undefined;
    const location = await this.store.duplicates.large(claim);
    if (!location || location.size !== claim.size) return undefined;
    const nonce = randomBytes(16).toString('hex');
    const ranges = rangesOf(claim.size);
    this.challenges.set(nonce, { claim, location, ranges, expires: performance.now() + LIFETIME_MILLISECONDS });
    dropOldest(this.challenges, MOST_OPEN);
    return { nonce, ranges, expires: Date.now() + LIFETIME_MILLISECONDS };
  }

  /**
   * Checks an answer and removes its challenge. Undefined if the challenge does not exist, has expired or its file was
   * deleted; false if the proof is wrong.
   */
  async answer(nonce: string, proof: Buffer): Promise<Proven | false | undefined> {
    const challenge = this.challenges.get(nonce);
    this.challenges.delete(nonce);
    if (!challenge || challenge.expires < performance.now()) return undefined;
    const { claim, location, ranges } = challenge;
    const wanted = await this.proofOf(nonce, location, ranges).catch(() => undefined); // deleted in the meantime
    if (!wanted) return undefined;
    if (proof.length === wanted.length && timingSafeEqual(proof, wanted))
      return { claim, location, crc32: location.crc32 };
    this.countWrong(claim.sha256);
    return false;
  }

  private async proofOf(nonce: string, location: FileLocation, ranges: readonly Range[]): Promise<Buffer> {
    const path = this.store.paths[location.storePath];
    if (!path?.isOpen) throw new Error('the store path is not open');
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
