import { Failure } from '../http/failure';
import { key, keyGiven } from '../key';
import { serverSettings, settingsLoaded } from '../settings';
import { hashFile } from './hashing';
import type { Item, Stored } from './item';
import { type Persistence, persist } from './retry';
import { offer, sendByTus, sendWhole } from './send';
import { Slots } from './slots';

/** Up to here, in bytes, a file is sent in one request; larger ones are offered by their hash, and sent by tus. */
const WHOLE_BYTES = 2 ** 20;
const WATCH_MILLISECONDS = 1000;

const hashing = new Slots(1);
const sending = new Slots(3);

/**
 * Gets a file to the server, whatever it takes. Rejects with a Failure that will not go away, or when it is stopped.
 * @param begun is called when the upload has an address from which it can go on
 */
export async function transfer(item: Item, file: File, abort: AbortSignal, begun: () => void): Promise<Stored> {
  await settingsLoaded;
  abort.throwIfAborted();
  const limit = serverSettings.peek()?.maxFileSize ?? Number.POSITIVE_INFINITY;
  if (file.size > limit) throw new Failure('too-large', 413, '');
  item.enter({ name: 'queued' });
  const stored = file.size > WHOLE_BYTES ? sendLarge(item, file, abort, begun) : sendSmall(item, file, abort);
  return await stored;
}

function persistence(item: Item, abort: AbortSignal): Persistence {
  return {
    abort,
    waits: (failure, again) => item.enter({ name: 'waiting', failure, again }),
    position: () => item.sent.bytes.peek(),
  };
}

/** Asks for the key before anything is sent without one. */
async function permitted(item: Item, abort: AbortSignal): Promise<void> {
  if (key.peek() !== undefined || serverSettings.peek()?.uploads === 'open') return;
  item.enter({ name: 'waiting', failure: new Failure('no-key', 401, ''), again: undefined });
  await keyGiven(abort);
}

/** Sends, and keeps the speed on the screen true while nothing moves. */
async function watched<T>(item: Item, file: File, send: () => Promise<T>): Promise<T> {
  item.enter({ name: 'sending' });
  const watch = setInterval(() => item.sent.flush(), WATCH_MILLISECONDS);
  try {
    return await send();
  } catch (error) {
    // A file that was changed or removed breaks a request like a lost network does: reading it tells.
    await file.slice(0, 1).arrayBuffer();
    throw error;
  } finally {
    clearInterval(watch);
    item.sent.flush();
  }
}

async function sendSmall(item: Item, file: File, abort: AbortSignal) {
  const release = await sending.take(abort);
  try {
    await permitted(item, abort);
    const attempt = () => {
      item.sent.begin();
      return sendWhole(item, file, abort);
    };
    return await persist(() => watched(item, file, attempt), persistence(item, abort));
  } finally {
    release();
  }
}

async function sendLarge(item: Item, file: File, abort: AbortSignal, begun: () => void) {
  if (item.tusUrl === undefined) {
    item.sha256 ??= await hash(item, file, abort);
    const { sha256 } = item;
    await permitted(item, abort);
    const known = await persist(
      () => {
        item.enter({ name: 'checking' });
        return offer(item, file, sha256, abort);
      },
      persistence(item, abort),
    );
    if (known) return known;
    item.enter({ name: 'queued' });
  }
  const release = await sending.take(abort);
  try {
    await permitted(item, abort);
    const attempt = () => sendByTus(item, file, abort, begun);
    return await persist(() => watched(item, file, attempt), persistence(item, abort));
  } finally {
    release();
  }
}

async function hash(item: Item, file: File, abort: AbortSignal): Promise<string> {
  const release = await hashing.take(abort);
  try {
    item.enter({ name: 'hashing' });
    item.hashed.begin(item.hashed.bytes.peek());
    const sha256 = await hashFile(item.key, file, abort, (bytes) => item.hashed.report(bytes));
    item.hashed.report(file.size);
    item.hashed.flush();
    return sha256;
  } finally {
    release();
  }
}
