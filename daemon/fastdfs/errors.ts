import { Problem, type ProblemName } from '../operations/problems.js';
import { StoreError, type StoreErrorCode } from '../store/errors.js';
import { Status, WireError } from './codec.js';

const OF_PROBLEMS: Partial<Record<ProblemName, number>> = {
  'not-found': Status.notFound,
  'no-such-group': Status.notFound,
  unavailable: Status.busy,
  full: Status.full,
  internal: Status.failed,
};

const OF_STORE: Partial<Record<StoreErrorCode, number>> = {
  full: Status.full,
  unavailable: Status.busy,
  damaged: Status.busy,
  failed: Status.failed,
  invalid: Status.invalid,
  exists: Status.exists,
  'not-found': Status.notFound,
};

/** The status that a client of FastDFS gets for an error. */
export function statusOf(error: unknown): number {
  if (error instanceof WireError) return error.status;
  if (error instanceof Problem) return OF_PROBLEMS[error.problem] ?? Status.invalid;
  if (error instanceof StoreError) return OF_STORE[error.code] ?? Status.failed;
  return Status.failed;
}
