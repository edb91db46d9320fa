import { Reservation } from './reservation.js';
import type { StorePath } from './store-path.js';

/** Space for the rest of an upload stays reserved for this time after its last piece; then the upload counts as abandoned. */
const RESERVED_MILLISECONDS = 60_000;

/** The reservations of resumable uploads between their pieces. */
export class KeptReservations {
  /** By upload, with the time of the last piece (performance.now()); the oldest first. */
  private readonly kept = new Map<string, { reservation: Reservation; since: number }>();

  /** Keeps the reservation of an upload until its next piece. */
  keep(id: string, reservation: Reservation): void {
    this.kept.set(id, { reservation, since: performance.now() });
  }

  /**
   * Takes the reservation of an upload, or makes a new one, and extends it to all missing bytes: an upload that cannot be
   * completed is refused before its pieces fill the disk. The caller has to `keep` or release it. Throws a StoreError (full) if
   * there is not enough space.
   */
  take(id: string, storePath: StorePath, missing: number): Reservation {
    const kept = this.kept.get(id)?.reservation;
    this.kept.delete(id); // `releaseAbandoned` must not release it while a piece is received
    try {
      const reservation = kept ?? new Reservation(storePath, 0);
      reservation.cover(missing);
      return reservation;
    } catch (error) {
      kept?.release();
      throw error;
    }
  }

  /** Releases the reservation of an upload, if it has one. */
  release(id: string): void {
    this.kept.get(id)?.reservation.release();
    this.kept.delete(id);
  }

  /** Releases the reservations of uploads without a recent piece. */
  releaseAbandoned(): void {
    for (const [id, { since }] of this.kept) {
      if (performance.now() - since < RESERVED_MILLISECONDS) break;
      this.release(id);
    }
  }
}
