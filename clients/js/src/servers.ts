import { asFidfsError, type FidfsError } from './error.js';

const PAUSES_SECONDS = [1, 3, 5, 10];
/** A server that asks for a longer pause is not waited for. */
const LONGEST_PAUSE_SECONDS = 60;
const PASSING = new Set([408, 423, 502, 503, 504]);

/** Of a server, without a slash at the end. */
const ADDRESS = /^https?:\/\/[^/\s?#@]+(?:\/[^\s?#]*)?$/i;

export interface Attempts {
  signal?: AbortSignal | undefined;
  /** Whether a failed request can be sent again. */
  isRepeatable?: () => boolean;
  /** Whether another attempt may succeed; by default after 408, 423, 502, 503, 504 and without a response. */
  isPassing?: (error: FidfsError) => boolean;
  /** A number that grows with progress, such as sent bytes; growth resets the count of attempts. */
  position?: () => number;
}

/** The servers of a cluster, of which one is used until it fails. */
export class Servers {
  private readonly addresses: readonly string[];
  private current = 0;

  constructor(
    addresses: string | readonly string[],
    private readonly retries: number,
  ) {
    this.addresses = [addresses].flat().map((address) => address.replace(/\/+$/, ''));
    if (this.addresses.length === 0) throw new TypeError('no server is given');
    const wrong = this.addresses.find((address) => !ADDRESS.test(address));
    if (wrong !== undefined) throw new TypeError(`not an address such as http://127.0.0.1:8080: ${wrong}`);
  }

  /** The first address, without a slash at the end. */
  get first(): string {
    return this.addresses[0] as string;
  }

  /**
   * Repeats `attempt` with the next server after an error that passes: at once with each other one, then after a pause, for a
   * bounded number of rounds. Rejects with the FidfsError of the last attempt, or with the signal's reason.
   */
  async attempt<T>(attempt: (server: string) => Promise<T>, options: Attempts = {}): Promise<T> {
    const { signal, isRepeatable = () => true, isPassing = passes, position = () => 0 } = options;
    const count = this.addresses.length;
    let reached = position();
    let failed = 0;
    for (;;) {
      signal?.throwIfAborted();
      const index = this.current;
      try {
        return await attempt(this.addresses[index] as string);
      } catch (thrown) {
        signal?.throwIfAborted();
        const error = asFidfsError(thrown);
        if (position() > reached) failed = 0;
        reached = position();
        if (!isPassing(error) || !isRepeatable()) throw error;
        if (this.current === index) this.current = (index + 1) % count;
        if (++failed % count > 0) continue;
        const round = failed / count;
        const seconds = Math.max(error.retryAfter, PAUSES_SECONDS[round - 1] ?? (PAUSES_SECONDS.at(-1) as number));
        if (round > this.retries || seconds > LONGEST_PAUSE_SECONDS) throw error;
        await pause(seconds * 1000, signal);
      }
    }
  }
}

/** Whether another attempt, or another server, may succeed after this error. */
export function passes({ problem, status }: FidfsError): boolean {
  return status === 0 ? problem === 'network' : PASSING.has(status);
}

/** Waits; rejects with the signal's reason. */
function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
