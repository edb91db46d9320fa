/** Why the store could not do something, in the words of the public error catalogue. */
export type StoreErrorCode = 'full' | 'unavailable' | 'damaged' | 'failed';

/**
 * An operation of the store that failed. `message` carries operation, path and cause and is for the log;
 * `code` says what to tell the client: no space left, no store path takes writes, the
 * records are damaged (then the message itself is for the client too), or something else.
 */
export class StoreError extends Error {
  override name = 'StoreError';

  constructor(
    readonly code: StoreErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A store path that is not what the settings and the index say of it: nothing can go on before they agree. */
export class WrongStorePath extends Error {
  override name = 'WrongStorePath';
}

/** The errno name of a system error (`ENOSPC`), or an empty string. */
export function errorCode(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : '';
}

const FULL = new Set(['ENOSPC', 'EDQUOT', 'SQLITE_FULL', 'SQLITE_IOERR_SHMSIZE']);

/** Whether there was no room on the disk. */
export function isFull(error: unknown): boolean {
  return FULL.has(errorCode(error));
}

/** Wraps whatever a file system call threw. */
export function storeError(operation: string, path: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const cause = error instanceof Error ? error.message : String(error);
  const full = isFull(error);
  const advice = full ? 'free some space or add a store path' : 'look at the disk and at the rights of the directory';
  return new StoreError(full ? 'full' : 'failed', `${operation} ${path}: ${cause}; ${advice}`, { cause: error });
}

/** Whether the file or directory was not there. */
export function isNotFound(error: unknown): boolean {
  return errorCode(error) === 'ENOENT';
}
