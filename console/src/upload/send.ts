import type { StoredFile, UploadOptions } from 'fidfs-client';
import { client, withKey } from '../http/client';
import { Failure, networkFailure } from '../http/failure';
import { proveFile } from './hashing';
import type { Item, Stored } from './item';

/*
 * The three ways to upload a file. Each makes one attempt and rejects with a Failure; `persist` repeats them.
 */

/** An upload without progress for this long when the network comes back is on a dead connection. */
const STALLED_MILLISECONDS = 3000;

/** Offers a file by its hash; resolves with undefined if the server does not have the content. */
export async function offer(item: Item, file: File, sha256: string, abort: AbortSignal): Promise<Stored | undefined> {
  const hasher = {
    sha256: async () => sha256,
    prove: (challenge: { nonce: string; ranges: [number, number][] }) => proveFile(item.key, file, challenge, abort),
  };
  const stored = await withKey(() => client.uploadKnown(file, { hasher, signal: abort }));
  return stored && { id: stored.id, url: stored.url, already: true };
}

/** `signal` is aborted with `abort`, or when the network comes back while the upload makes no progress. */
function untilStopped(abort: AbortSignal, lastMove: () => number): { signal: AbortSignal; end: () => void } {
  const stopped = new AbortController();
  const listening = new AbortController();
  const check = () => {
    if (performance.now() - lastMove() > STALLED_MILLISECONDS) stopped.abort(networkFailure());
  };
  abort.addEventListener('abort', () => stopped.abort(abort.reason), { signal: listening.signal });
  window.addEventListener('online', check, { signal: listening.signal });
  return { signal: stopped.signal, end: () => listening.abort() };
}

async function send(item: Item, file: File, abort: AbortSignal, options: UploadOptions): Promise<Stored> {
  abort.throwIfAborted();
  let moved = performance.now();
  let isFirst = true;
  const { signal, end } = untilStopped(abort, () => moved);
  const onProgress = (bytes: number) => {
    moved = performance.now();
    // What was sent before this attempt does not count for the speed.
    if (isFirst && options.resumable) item.sent.begin(bytes);
    else item.sent.report(bytes);
    isFirst = false;
  };
  try {
    const { id, url }: StoredFile = await withKey(() => client.upload(file, { ...options, signal, onProgress }));
    return { id, url, already: false };
  } finally {
    end();
  }
}

/** Sends a small file in one request. */
export function sendWhole(item: Item, file: File, abort: AbortSignal): Promise<Stored> {
  return send(item, file, abort, { resumable: false });
}

/** Sends a file by tus, from the server's offset; calls `begun` when the upload has an address. */
export async function sendByTus(item: Item, file: File, abort: AbortSignal, begun: () => void): Promise<Stored> {
  const onResumable = (upload: string) => {
    item.tusUrl = upload;
    begun();
  };
  const resume = item.tusUrl === undefined ? {} : { resume: item.tusUrl };
  try {
    return await send(item, file, abort, { resumable: true, onResumable, ...resume });
  } catch (error) {
    if (!(error instanceof Failure) || error.problem !== 'upload-lost') throw error;
    // The next attempt creates a new one.
    item.tusUrl = undefined;
    throw new Failure('unavailable', 503, '');
  }
}

/** Terminates an upload on the server. Errors are ignored, because uploads expire there. */
export function giveUp(tusUrl: string): void {
  client.cancel(tusUrl).catch(() => {});
}
