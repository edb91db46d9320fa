import { asFidfsError, FidfsError } from 'fidfs-client';

/** A failed request, or data that cannot be read. */
export { asFidfsError as asFailure, FidfsError as Failure };

/** The failure of a request without a response. */
export function networkFailure(): FidfsError {
  return new FidfsError('network', 0, '');
}
