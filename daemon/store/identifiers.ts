import { randomInt } from 'node:crypto';
import fileId from '../../file-id/file-id.js';

const COUNTERS = 2 ** 23;
const FOUR_GIB = 2 ** 32;

/** A new ID's parts: its 20 bytes, and the name on disk that begins with them. */
export interface Identifier {
  bytes: Buffer;
  name: string;
  created: number;
}

/**
 * Makes IDs that are unique by construction: within a second a counter that starts at a random point, and seconds that
 * never go back. `lastSecond` is the newest second that this node ever used, whatever became of the file.
 */
export class Identifiers {
  private second: number;
  private counter = 0;
  private left = 0;
  /** Where the random digits of tails come from; nothing depends on them. */
  private digits = randomInt(2 ** 31);

  constructor(
    private readonly serverId: number,
    lastSecond: number,
    private readonly clock: () => number = Date.now,
  ) {
    this.second = lastSecond;
  }

  /** The second that the last ID got. */
  get lastSecond(): number {
    return this.second;
  }

  next(size: number, crc32: number, extension: string): Identifier {
    const now = Math.floor(this.clock() / 1000);
    if (now > this.second) this.startSecond(now);
    else if (this.left === 0) this.startSecond(this.second + 1);
    this.left--;
    this.counter = (this.counter + 1) % COUNTERS;
    this.digits = (this.digits * 48271) % 0x7fffffff;
    const created = this.second;
    const bytes = fileId.encodeKey({ serverId: this.serverId, created, size, crc32, counter: this.counter });
    // From 4 GiB up nothing tells two equal files of one second apart: let the next ID have another second.
    if (size >= FOUR_GIB) this.left = 0;
    return { bytes, name: bytes.toString('base64url') + fileId.makeTail(extension, this.digits), created };
  }

  private startSecond(second: number): void {
    this.second = second;
    this.counter = randomInt(COUNTERS);
    this.left = COUNTERS;
  }
}
