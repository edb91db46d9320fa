import { errorCode, StoreError } from '../store/errors.js';

/** What SQLite says when its file, or the disk below it, is not what it wrote there. */
const DAMAGED = /^SQLITE_(CORRUPT|NOTADB|IOERR_(READ|SHORT_READ|CORRUPTFS))/;

/**
 * Whether the index is damaged, as far as is known. Every access to the SQLite file goes through one of these, whichever
 * thread it is made by, so that damage is noted by the first one that meets it. It lasts until a restart: what a
 * damaged file still answers cannot be relied on.
 */
export class Damage {
  /** What is wrong and what to do, for people; undefined while nothing is known to be. */
  reason: string | undefined;

  /** Notes damage, and throws what says so. */
  found(what: string, cause?: unknown): never {
    throw this.note(what, cause);
  }

  /** Uses the index. An error that shows damage is noted, and thrown as a StoreError that says what to do. */
  readonly watch = <T>(use: () => T): T => {
    try {
      return use();
    } catch (error) {
      return this.rethrow(error);
    }
  };

  /** As `watch`, for an error that came otherwise, from a thread. */
  readonly rethrow = (error: unknown): never => {
    throw this.caught(error);
  };

  /** Notes damage that an error shows. Returns what says so, or the error. */
  caught(error: unknown): unknown {
    return DAMAGED.test(errorCode(error)) ? this.note((error as Error).message, error) : error;
  }

  private note(what: string, cause: unknown): StoreError {
    this.reason ??= `the index is damaged (${what}); stop the node, run "fidfs rebuild", start it again`;
    return new StoreError('damaged', this.reason, { cause });
  }

  /** Throws when damage is known. */
  assertNone(): void {
    if (this.reason !== undefined) throw new StoreError('damaged', this.reason);
  }
}
