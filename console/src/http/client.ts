import { Fidfs } from 'fidfs-client';
import { serverUrl } from '../address';
import { key, refuseKey } from '../key';
import { Failure } from './failure';

/** The client of this server. It repeats nothing: uploads are repeated by `persist`, and views by themselves. */
export const client = new Fidfs({ servers: serverUrl, key: () => key.peek(), retries: 0, timeout: 0 });

// Beforehand, because an upload may begin while there is no network.
import('tus-js-client').catch(() => {});

/** Runs requests of the client, and discards the key if the server rejects it. */
export async function withKey<T>(send: () => Promise<T>): Promise<T> {
  const used = key.peek();
  try {
    return await send();
  } catch (error) {
    if (error instanceof Failure && error.status === 401) refuseKey(used);
    throw error;
  }
}
