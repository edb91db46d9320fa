import { asFailure, type Failure } from '../http/failure';
import { keyGiven } from '../key';

const DELAYS_SECONDS = [0, 1, 3, 5, 10];
/** Maximum number of retries after error responses without progress. */
const MOST_REFUSALS = 8;

/** Parameters of `persist`. */
export interface Persistence {
  abort: AbortSignal;
  /** Called before each wait: until `again` (milliseconds since 1970), or, if undefined, for a key. */
  waits: (failure: Failure, again: number | undefined) => void;
  /** A number that grows with progress, such as sent bytes; growth resets the count of retries. */
  position: () => number;
}

/**
 * Repeats `attempt` until it succeeds: without limit while there is no network, after asking for a key if it is missing or
 * rejected, and a limited number of times after a transient error response. Rejects with the Failure of any other error
 * response, or with the signal's reason.
 */
export async function persist<T>(attempt: () => Promise<T>, { abort, waits, position }: Persistence): Promise<T> {
  let tries = 0;
  let refusals = 0;
  let reached = position();
  for (;;) {
    abort.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      abort.throwIfAborted();
      const failure = asFailure(error);
      if (position() > reached) {
        tries = 0;
        refusals = 0;
      }
      reached = position();
      if (failure.status === 401) {
        waits(failure, undefined);
        await keyGiven(abort);
        continue;
      }
      if (failure.problem !== 'network' && (!isPassing(failure.status) || ++refusals > MOST_REFUSALS)) throw failure;
      const delay = DELAYS_SECONDS[Math.min(tries++, DELAYS_SECONDS.length - 1)] ?? 0;
      const milliseconds = Math.max(delay, failure.retryAfter) * 1000;
      if (milliseconds > 0) waits(failure, Date.now() + milliseconds);
      await pause(milliseconds, abort, failure.problem === 'network');
    }
  }
}

/** Whether a status is transient. */
function isPassing(status: number): boolean {
  return [408, 409, 423, 429].includes(status) || (status >= 500 && status !== 507);
}

/** Waits; with `endsOnline` the wait ends early when the network comes back. */
function pause(milliseconds: number, abort: AbortSignal, endsOnline: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = new AbortController();
    const end = (settle: () => void) => () => {
      clearTimeout(timer);
      done.abort();
      settle();
    };
    const timer = setTimeout(end(resolve), milliseconds);
    if (endsOnline) window.addEventListener('online', end(resolve), { signal: done.signal });
    abort.addEventListener(
      'abort',
      end(() => reject(abort.reason)),
      { signal: done.signal },
    );
  });
}
