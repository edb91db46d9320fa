import type { StorePath } from './store-path.js';

/** An upload of unknown length reserves space in steps of this many bytes. */
const STEP = 2 ** 20;
/** Such an upload must leave this many bytes available to others, because it may turn out not to fit. */
const LEFT_TO_OTHERS = 4 * 2 ** 20;

/**
 * Space on a store path reserved for bytes that are still to be written. Must be released when the upload has been stored or
 * dropped; a second release does nothing.
 */
export class Reservation {
  /** Reserved bytes that are not written yet. */
  private left = 0;
  /** Those of them that have been received. */
  private arrived = 0;
  /** All bytes ever reserved. */
  private total = 0;
  private released = false;

  /**
   * Throws a StoreError (full) if there is not enough space.
   * @param whole the reservation of the whole request, if this is for one file of it: space is taken from it first
   */
  constructor(
    readonly storePath: StorePath,
    bytes: number,
    private readonly whole?: Reservation,
  ) {
    this.cover(bytes);
  }

  /**
   * Extends the reservation to at least `bytes` that are still to be written. Throws a StoreError (full) if there is not
   * enough space.
   */
  cover(bytes: number): void {
    const shortfall = bytes - this.left;
    if (shortfall > 0) this.take(shortfall, 0);
  }

  /**
   * Counts bytes as received, and extends the reservation if it does not cover them. Throws a StoreError (full) if there is
   * not enough space.
   */
  arrive(bytes: number): void {
    const shortfall = this.arrived + bytes - this.left;
    if (shortfall > 0) {
      // A small file reserves exactly what it needs.
      if (this.total + shortfall <= STEP) this.take(shortfall, 0);
      else this.take(Math.max(shortfall, this.whole ? 0 : STEP), LEFT_TO_OTHERS);
    }
    this.arrived += bytes;
  }

  /** Counts received bytes as written, which ends their reservation. */
  written(bytes: number): void {
    this.arrived -= bytes;
    this.storePath.written(bytes);
    this.giveBack(bytes);
  }

  /** Releases what was reserved and not written. */
  release(): void {
    this.giveBack(this.left);
    this.released = true;
  }

  private take(bytes: number, leaving: number): void {
    if (this.released) throw new Error('space was reserved after the release of its reservation');
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
