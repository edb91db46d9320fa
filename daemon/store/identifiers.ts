import { randomInt } from 'node:crypto';
import fileId from '../../file-id/file-id.js';

const COUNTERS = 2 ** 23;
const FOUR_GIB = 2 ** 32;

/** The parts of a new ID. */
export interface Identifier {
  /** The 20 bytes that are the key of the file. */
  bytes: Buffer;
  /** The file name: `bytes` in base64url, and the tail. */
  name: string;
  /** Seconds since 1970. */
  created: number;
}

/**
 * Makes IDs that are unique by construction: a 23-bit counter that starts at a random value in every second, and seconds that
 * never decrease, also across restarts and clock steps. `lastSecond` is the newest second this node has ever used in an ID, even
 * if the file was deleted.
 */
export class Identifiers {
  private second: number;
  private counter = 0;
  private left = 0;
  /** State of the generator of the random digits in tails; uniqueness does not depend on them. */
  private digits = randomInt(2 ** 31);

  constructor(
    private readonly serverId: number,
    lastSecond: number,
    private readonly clock: () => number = Date.now,
  ) {
    this.second = lastSecond;
  }

  /** The creation second of the last ID. */
  get lastSecond(): number {
    return this.second;
  }

  next(size: number, crc32: number, extension: string, isAppender = false): Identifier {
    const now = Math.floor(this.clock() / 1000);
    if (now > this.second) this.startSecond(now);
    else if (this.left === 0) this.startSecond(this.second + 1);
    this.left--;
    this.counter = (this.counter + 1) % COUNTERS;
    this.digits = (this.digits * 48271) % 0x7fffffff;
    const created = this.second;
    const { serverId, counter } = this;
    const bytes = fileId.encodeKey({ serverId, created, size, crc32, counter, isAppender });
    // From 4 GiB up the ID has no counter: two equal files of the same second would get the same ID.
    if (size >= FOUR_GIB) this.left = 0;
    return { bytes, name: bytes.toString('base64url') + fileId.makeTail(extension, this.digits), created };
  }

  private startSecond(second: number): void {
    this.second = second;
    this.counter = randomInt(COUNTERS);
    this.left = COUNTERS;
  }
}
