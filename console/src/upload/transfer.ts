import { Failure } from '../http/failure';
import { key, keyGiven } from '../key';
import { serverSettings, settingsLoaded } from '../settings';
import { hashFile } from './hashing';
import type { Item, Stored } from './item';
import { type Persistence, persist } from './retry';
import { offer, sendByTus, sendWhole } from './send';
import { Slots } from './slots';

/** Largest file sent in one request, in bytes; larger ones are offered by their hash, then sent by tus. */
const WHOLE_BYTES = 2 ** 20;
const WATCH_MILLISECONDS = 1000;

const hashing = new Slots(1);
const sending = new Slots(3);

/**
 * Uploads a file, with retries. Rejects with a Failure that is not transient, or with the signal's reason.
 * @param begun is called when the upload has an address and can be resumed
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

/** Waits for a key if the server requires one and there is none. */
async function permitted(item: Item, abort: AbortSignal): Promise<void> {
  if (key.peek() !== undefined || serverSettings.peek()?.uploads === 'open') return;
  item.enter({ name: 'waiting', failure: new Failure('no-key', 401, ''), again: undefined });
  await keyGiven(abort);
}

/** Runs `send`, and updates the displayed speed also while no bytes are sent. */
async function watched<T>(item: Item, file: File, send: () => Promise<T>): Promise<T> {
  item.enter({ name: 'sending' });
  const watch = setInterval(() => item.sent.flush(), WATCH_MILLISECONDS);
  try {
    return await send();
  } catch (error) {
    // A changed or removed file fails the request like a network error; reading the file distinguishes the two.
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
