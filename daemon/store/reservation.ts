import type { StorePath } from './store-path.js';

/** An upload of unknown length takes room in steps of so many bytes, */
const STEP = 2 ** 20;
/** and leaves as many as this to others: it may turn out to be one that does not fit. */
const LEFT_TO_OTHERS = 4 * 2 ** 20;

/**
 * Room on a store path for bytes that are still to be written there: nobody else is given it. To be released once what it
 * is for has been stored or is gone; a second release does nothing.
 */
export class Reservation {
  /** Bytes that have room and are not written yet. */
  private left = 0;
  /** Of those, bytes that have arrived. */
  private arrived = 0;
  /** All bytes that were given room. */
  private total = 0;
  private released = false;

  /**
   * Throws a StoreError when there is no room for so many bytes.
   * @param whole the room of a whole request, of which this is for a part: it comes out of that as long as there is some
   */
  constructor(
    readonly storePath: StorePath,
    bytes: number,
    private readonly whole?: Reservation,
  ) {
    this.cover(bytes);
  }

  /** Sees to it that so many bytes that are still to be written have room. Throws a StoreError when there is none. */
  cover(bytes: number): void {
    const shortfall = bytes - this.left;
    if (shortfall > 0) this.take(shortfall, 0);
  }

  /** So many bytes have come, whether they were announced or not. Throws a StoreError when there is no room for them. */
  arrive(bytes: number): void {
    const shortfall = this.arrived + bytes - this.left;
    if (shortfall > 0) {
      // What is small is taken as it comes.
      if (this.total + shortfall <= STEP) this.take(shortfall, 0);
      else this.take(Math.max(shortfall, this.whole ? 0 : STEP), LEFT_TO_OTHERS);
    }
    this.arrived += bytes;
  }

  /** So many of the bytes that have come are on the disk now. */
  written(bytes: number): void {
    this.arrived -= bytes;
    this.storePath.written(bytes);
    this.giveBack(bytes);
  }

  /** What was not written is not going to be. */
  release(): void {
    this.giveBack(this.left);
    this.released = true;
  }

  private take(bytes: number, leaving: number): void {
    if (this.released) throw new Error('room was asked for behind its release');
    const ofWhole = Math.min(bytes, this.whole?.left ?? 0);
    if (bytes > ofWhole) this.storePath.claim(bytes - ofWhole, leaving);
    if (this.whole) this.whole.left -= ofWhole;
    this.left += bytes;
    this.total += bytes;
  }

  private giveBack(bytes: number): void {
    const given = Math.min(bytes, this.left);
    this.left -= given;
    this.storePath.unclaim(given);
  }
}
