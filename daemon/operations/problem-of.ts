import { StoreError } from '../store/errors.js';
import { sentence } from '../words.js';
import { Problem } from './problems.js';

/** The problems of the errors of a store that say what is wrong with a name. */
const NAMED = { invalid: 'bad-request', exists: 'exists', 'not-found': 'not-found' } as const;

/** The problem that a client gets for an error. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof StoreError && error.code === 'full') {
    return new Problem('full', 'There is no room for this file; free some space or add a store path.', {
      cause: error,
    });
  }
  if (error instanceof StoreError && error.code === 'unavailable') {
    return new Problem('unavailable', 'The disks of this node take no files now; its log says why.', { cause: error });
  }
  if (error instanceof StoreError && error.code === 'damaged') {
    return new Problem('unavailable', sentence(`This cannot be done now: ${error.message}`), { cause: error });
  }
  if (error instanceof StoreError && error.code in NAMED) {
    return new Problem(NAMED[error.code as keyof typeof NAMED], sentence(error.message), { cause: error });
  }
  const status = error instanceof Error ? (error as { statusCode?: unknown }).statusCode : undefined;
  if (status === 413) return new Problem('too-large', 'The body is larger than is allowed here.', { cause: error });
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new Problem('bad-request', 'The request is malformed.', { cause: error });
  }
  return new Problem('internal', 'Something went wrong here; the log says what, under this request.', { cause: error });
}
