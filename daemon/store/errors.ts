/** Cause of a failure. */
export type StoreErrorCode = 'full' | 'unavailable' | 'damaged' | 'failed' | 'invalid' | 'exists' | 'not-found';

/**
 * A failed operation of the store. `message` contains the operation, the path and the cause, and is meant for the log. `code`
 * is the answer to the client: no space left, no store path takes writes, the index is damaged, a name is not possible, is taken,
 * or its file is not here (of these the client may see the message, too), or any other failure.
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

/** A store path does not match the settings or the index. The node does not start. */
export class WrongStorePath extends Error {
  override name = 'WrongStorePath';
}

/** The code of an error, such as `ENOSPC`; an empty string if it has none. */
export function errorCode(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : '';
}

const FULL = new Set(['ENOSPC', 'EDQUOT', 'SQLITE_FULL', 'SQLITE_IOERR_SHMSIZE']);

/** Whether an error means that the disk (or a quota) is full. */
export function isFull(error: unknown): boolean {
  return FULL.has(errorCode(error));
}

/** Wraps the error of a file system call in a StoreError; returns a StoreError unchanged. */
export function storeError(operation: string, path: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const cause = error instanceof Error ? error.message : String(error);
  const full = isFull(error);
  const advice = full ? 'free some space or add a store path' : 'look at the disk and at the rights of the directory';
  return new StoreError(full ? 'full' : 'failed', `${operation} ${path}: ${cause}; ${advice}`, { cause: error });
}

/** Whether an error means that a file or directory does not exist. */
export function isNotFound(error: unknown): boolean {
  return errorCode(error) === 'ENOENT';
}
