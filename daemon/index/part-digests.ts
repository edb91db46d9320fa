import { createHash, type Hash } from 'node:crypto';

/**
 * Version of the digests: 1 is a sum of mixed keys, 2 is SHA-256 of the keys, 3 also of the states of the files that have a
 * version. Two nodes use the newest version that both support; a node
 * whose hello contains no version supports 1.
 */
export const DIGEST_VERSION = 3;

const KEY_LENGTH = 20;
/** Number of keys of one part that are hashed with one call. */
const RUN = 256;
const DIGEST_LENGTH = 8;
/** Length of a hashed state: the version as a double, and the SHA-256. */
const STATE_LENGTH = 40;

/** What distinguishes two contents of one name. */
export interface FileState {
  version: number;
  /** 32 bytes. */
  sha256: Buffer;
}

/** Computes digests of parts from their keys. */
export interface PartDigests {
  /**
   * @param part number of the part, at most 53 bits
   * @param key 20 bytes, greater than every key added before
   * @param state version and SHA-256 of a file that has a version
   */
  add(part: number, key: Buffer, state?: FileState): void;
  /** 16 bytes per part, ordered by part: the part as a double, and the digest (8 bytes), both big-endian. */
  toBuffer(): Buffer;
}

/** Creates digests of a version. */
export function createPartDigests(version: number): PartDigests {
  return version === 1 ? new MixedSums() : new Sha256Digests(version >= 3);
}

/** The first 64 bits of the SHA-256 of the keys of each part. Consecutive keys are usually of the same part. */
class Sha256Digests implements PartDigests {
  private readonly parts = new Map<number, Hash>();
  private readonly run = Buffer.alloc(RUN * KEY_LENGTH);
  private length = 0;
  private part = 0;

  constructor(private readonly hasStates: boolean) {}

  add(part: number, key: Buffer, state?: FileState): void {
    const withState = this.hasStates && state ? STATE_LENGTH : 0;
    if (part !== this.part || this.length + KEY_LENGTH + withState > this.run.length) this.endRun();
    this.part = part;
    this.length += key.copy(this.run, this.length);
    if (withState === 0 || !state) return;
    this.length = this.run.writeDoubleBE(state.version, this.length);
    this.length += state.sha256.copy(this.run, this.length);
  }

  toBuffer(): Buffer {
    this.endRun();
    return rowsOf([...this.parts.keys()], (part, buffer, offset) => {
      (this.parts.get(part) as Hash).digest().copy(buffer, offset, 0, DIGEST_LENGTH);
    });
  }

  private endRun(): void {
    if (this.length === 0) return;
    let hash = this.parts.get(this.part);
    if (!hash) {
      hash = createHash('sha256');
      this.parts.set(this.part, hash);
    }
    hash.update(this.run.subarray(0, this.length));
    this.length = 0;
  }
}

/** For peers of earlier versions: the sum of a mix of each key, in two halves of 32 bits. */
class MixedSums implements PartDigests {
  private readonly places = new Map<number, number>();
  private readonly low: number[] = [];
  private readonly high: number[] = [];

  add(part: number, key: Buffer): void {
    let place = this.places.get(part);
    if (place === undefined) {
      place = this.places.size;
      this.places.set(part, place);
      this.low.push(0);
      this.high.push(0);
    }
    let low = 0x9e3779b9;
    let high = 0x85ebca6b;
    for (let offset = 0; offset < KEY_LENGTH; offset += 4) {
      const word = key.readInt32LE(offset);
      low = Math.imul(low ^ word, 0xcc9e2d51);
      low ^= low >>> 15;
      high = Math.imul(high + word, 0x1b873593);
      high ^= (high >>> 13) ^ low;
    }
    this.low[place] = ((this.low[place] as number) + Math.imul(low, 0x2c1b3c6d)) >>> 0;
    this.high[place] = ((this.high[place] as number) + Math.imul(high, 0x297a2d39)) >>> 0;
  }

  toBuffer(): Buffer {
    return rowsOf([...this.places.keys()], (part, buffer, offset) => {
      const place = this.places.get(part) as number;
      buffer.writeUInt32BE(this.low[place] as number, offset);
      buffer.writeUInt32BE(this.high[place] as number, offset + 4);
    });
  }
}

/** @param write writes the digest of a part (8 bytes) at an offset of the buffer */
function rowsOf(parts: number[], write: (part: number, buffer: Buffer, offset: number) => void): Buffer {
  const buffer = Buffer.alloc(parts.length * 16);
  for (const [row, part] of parts.sort((a, b) => a - b).entries()) {
    buffer.writeDoubleBE(part, row * 16);
    write(part, buffer, row * 16 + 8);
  }
  return buffer;
}
