import { setTimeout as sleep } from 'node:timers/promises';
import { RequestFailed } from '../errors.js';

/** Pauses before a request is sent again, in milliseconds. */
const PAUSES = [1000, 2000, 4000];

/** Calls `act` for each item, up to `limit` at a time. After a call that rejects, begins no more, and rejects when all have ended. */
export async function eachAtOnce<T>(
  items: AsyncIterable<T> | Iterable<T>,
  limit: number,
  act: (item: T) => Promise<void>,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  const failures: unknown[] = [];
  try {
    for await (const item of items) {
      const call: Promise<void> = act(item)
        .catch((error: unknown) => void failures.push(error))
        .finally(() => underWay.delete(call));
      underWay.add(call);
      if (underWay.size >= limit) await Promise.race(underWay);
      if (failures.length > 0) break;
    }
  } finally {
    await Promise.all(underWay);
  }
  if (failures.length > 0) throw failures[0];
}

/** Calls `act` again, after growing pauses, while it rejects with a RequestFailed that may be temporary. */
export async function retrying<T>(act: () => Promise<T>): Promise<T> {
  for (const pause of PAUSES) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof RequestFailed) || !error.isTemporary) throw error;
    }
    await sleep(pause);
  }
  return act();
}
