import { DefaultHttpStack, DetailedError, type HttpRequest, type HttpResponse, Upload } from 'tus-js-client';
import { addressOf } from '../address';
import { asFailure, Failure, failureOf, networkFailure } from '../http/failure';
import { requestJson } from '../http/request';
import { authorization, key, refuseKey } from '../key';
import { publicAddressOf } from '../settings';
import { extensionOf } from './extension';
import { proveFile } from './hashing';
import type { Item, Stored } from './item';

/*
 * The three ways to upload a file. Each makes one attempt and rejects with a Failure; `persist` repeats them.
 */

const CHUNK_BYTES = 8 * 2 ** 20;
/** An upload without progress for this long when the network comes back is on a dead connection. */
const STALLED_MILLISECONDS = 3000;

interface UploadAnswer {
  files: { id: string; url: string }[];
}

function storedOf({ files }: UploadAnswer, already: boolean): Stored {
  const file = files[0];
  if (!file) throw new Failure('unknown', 201, '');
  return { id: file.id, url: file.url, already };
}

/** Offers a file by its hash; resolves with undefined if the server does not have the content. */
export async function offer(item: Item, file: File, sha256: string, abort: AbortSignal): Promise<Stored | undefined> {
  const ask = <T>(json: unknown): Promise<T> => requestJson<T>('upload/known', { json, signal: abort });
  try {
    const claim = { sha256, size: file.size, ext: extensionOf(item.description.name) };
    const challenge = await ask<{ nonce: string; ranges: [number, number][] }>(claim);
    const proof = await proveFile(item.key, file, challenge, abort);
    return storedOf(await ask<UploadAnswer>({ nonce: challenge.nonce, proof }), true);
  } catch (error) {
    const { status } = asFailure(error);
    if (status === 400 || status === 403 || status === 404) return undefined;
    throw error;
  }
}

/** `stopped` rejects when the signal is aborted, or when the network comes back while the upload makes no progress. */
function untilStopped(abort: AbortSignal, lastMove: () => number): { stopped: Promise<never>; end: () => void } {
  const listening = new AbortController();
  const stopped = new Promise<never>((_, reject) => {
    abort.addEventListener('abort', () => reject(abort.reason), { signal: listening.signal });
    const check = () => {
      if (performance.now() - lastMove() > STALLED_MILLISECONDS) reject(networkFailure());
    };
    window.addEventListener('online', check, { signal: listening.signal });
  });
  return { stopped, end: () => listening.abort() };
}

/** Sends a small file in one request. */
export async function sendWhole(item: Item, file: File, abort: AbortSignal): Promise<Stored> {
  const used = key.peek();
  let moved = performance.now();
  const path = addressOf(`upload?filename=${encodeURIComponent(file.name)}`);
  const request = new DefaultHttpStack({}).createRequest('POST', path);
  for (const [name, value] of Object.entries(authorization())) request.setHeader(name, value);
  if (file.type) request.setHeader('Content-Type', file.type);
  request.setProgressHandler((bytes) => {
    moved = performance.now();
    item.sent.report(bytes);
  });
  const { stopped, end } = untilStopped(abort, () => moved);
  try {
    const sent = request.send(file).catch(() => {
      throw networkFailure();
    });
    const answer = await Promise.race([sent, stopped]);
    if (answer.getStatus() !== 201) throw failureOfAnswer(answer, used);
    return storedOf(JSON.parse(answer.getBody()), false);
  } finally {
    end();
    void request.abort();
  }
}

/** Sends a file by tus, from the server's offset; calls `begun` when the upload has an address. */
export async function sendByTus(item: Item, file: File, abort: AbortSignal, begun: () => void): Promise<Stored> {
  const used = key.peek();
  let moved = 0;
  let upload: Upload | undefined;
  const { stopped, end } = untilStopped(abort, () => moved);
  const sent = new Promise<HttpResponse>((resolve, reject) => {
    upload = new Upload(file, {
      endpoint: addressOf('tus/'),
      uploadUrl: item.tusUrl ?? null,
      headers: authorization(),
      metadata: { filename: file.name, filetype: file.type },
      chunkSize: CHUNK_BYTES,
      // `persist` retries instead: it also asks for keys, and waits for the network without limit.
      retryDelays: null,
      storeFingerprintForResuming: false,
      onAfterResponse: keepUploadOnTrouble,
      onUploadUrlAvailable: () => {
        // The server returns its public address, which may differ from the page's origin.
        if (upload?.url) upload.url = addressOf(`tus/${upload.url.slice(upload.url.lastIndexOf('/') + 1)}`);
        item.tusUrl = upload?.url ?? undefined;
        begun();
      },
      onProgress: (bytes) => {
        if (moved === 0) item.sent.begin(bytes);
        else item.sent.report(bytes);
        moved = performance.now();
      },
      onSuccess: ({ lastResponse }) => resolve(lastResponse),
      onError: (error) => reject(failureOfTus(error, used)),
    });
    upload.start();
  });
  try {
    const answer = await Promise.race([sent, stopped]);
    const id = answer.getHeader('Fidfs-Id');
    if (!id) throw new Failure('unknown', answer.getStatus(), '');
    return { id, url: answer.getHeader('Fidfs-Url') ?? publicAddressOf(id), already: false };
  } catch (error) {
    const { status } = asFailure(error);
    // The upload has expired on the server; the next attempt creates a new one.
    if (item.tusUrl && (status === 404 || status === 410)) {
      item.tusUrl = undefined;
      throw new Failure('unavailable', 503, '');
    }
    throw error;
  } finally {
    end();
    void upload?.abort();
  }
}

/** An error response that does not mean that the upload is lost. */
class Trouble extends Error {
  constructor(readonly answer: HttpResponse) {
    super('trouble');
  }
}

/** By default tus-js-client creates a new upload after any error response to the HEAD for the offset. */
function keepUploadOnTrouble(request: HttpRequest, answer: HttpResponse): void {
  const status = answer.getStatus();
  if (request.getMethod() === 'HEAD' && (status === 401 || status === 423 || status >= 500)) throw new Trouble(answer);
}

function failureOfTus(error: Error, used: string | undefined): Failure {
  if (!(error instanceof DetailedError)) return asFailure(error);
  if (error.causingError instanceof Trouble) return failureOfAnswer(error.causingError.answer, used);
  if (error.originalResponse) return failureOfAnswer(error.originalResponse, used);
  if (error.causingError instanceof DOMException) return asFailure(error.causingError);
  return networkFailure();
}

function failureOfAnswer(answer: HttpResponse, used: string | undefined): Failure {
  const status = answer.getStatus();
  if (status === 401) refuseKey(used);
  return failureOf(status, answer.getBody(), answer.getHeader('Retry-After'));
}

/** Terminates an upload on the server. Errors are ignored, because uploads expire there. */
export function giveUp(tusUrl: string): void {
  Upload.terminate(tusUrl, { headers: authorization(), retryDelays: null }).catch(() => {});
}
