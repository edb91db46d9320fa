import { errorCode, StoreError } from '../store/errors.js';

/** Errors of SQLite that mean that the file does not contain what SQLite wrote, or cannot be read. */
const DAMAGED = /^SQLITE_(CORRUPT|NOTADB|IOERR_(READ|SHORT_READ|CORRUPTFS))/;

/**
 * Records whether the index is damaged. Every access to the SQLite file, from any thread, is watched by one object of this
 * class, so the first error that shows damage is recorded. The state lasts until a restart, because later results of a
 * damaged file may be wrong without an error.
 */
export class Damage {
  /** Human-readable reason, and what to do; undefined if no damage has been found. */
  reason: string | undefined;

  /** Records damage, and throws a StoreError with the code `damaged`. */
  found(what: string, cause?: unknown): never {
    throw this.note(what, cause);
  }

  /** Runs an access to the index. Records an error that shows damage, and throws it as a StoreError that says what to do. */
  readonly watch = <T>(use: () => T): T => {
    try {
      return use();
    } catch (error) {
      return this.rethrow(error);
    }
  };

  /** Like `watch`, for an error that was caught elsewhere, such as in a thread. */
  readonly rethrow = (error: unknown): never => {
    throw this.caught(error);
  };

  /** Records an error if it shows damage. Returns the StoreError, or the error itself if it shows none. */
  caught(error: unknown): unknown {
    return DAMAGED.test(errorCode(error)) ? this.note((error as Error).message, error) : error;
  }

  private note(what: string, cause: unknown): StoreError {
    this.reason ??= `the index is damaged (${what}); stop the node, run "fidfs rebuild", start it again`;
    return new StoreError('damaged', this.reason, { cause });
  }

  /** Throws a StoreError if damage has been found. */
  assertNone(): void {
    if (this.reason !== undefined) throw new StoreError('damaged', this.reason);
  }
}
