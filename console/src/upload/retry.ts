import { asFailure, type Failure } from '../http/failure';
import { keyGiven } from '../key';

const DELAYS_SECONDS = [0, 1, 3, 5, 10];
/** How often a server that answers with errors is asked again while nothing moves. */
const MOST_REFUSALS = 8;

/** Who tries something again and again. */
export interface Persistence {
  abort: AbortSignal;
  /** Says that it waits: until a time, or for a key. */
  waits: (failure: Failure, again: number | undefined) => void;
  /** A number that grows as bytes arrive: then patience starts anew. */
  position: () => number;
}

/**
 * Runs until it succeeds. No network is waited out for ever, a missing key is asked for, and a server in trouble gets
 * time; an answer that will not change is thrown, as a Failure.
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
      const milliseconds = Math.max(delay, failure.retryAfterSeconds) * 1000;
      if (milliseconds > 0) waits(failure, Date.now() + milliseconds);
      await pause(milliseconds, abort, failure.problem === 'network');
    }
  }
}

/** Whether asking again may help. */
function isPassing(status: number): boolean {
  return [408, 409, 423, 429].includes(status) || (status >= 500 && status !== 507);
}

/** Waits, less long when the network comes back. */
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
